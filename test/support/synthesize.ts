import { synthesize } from '../../local/synthesize.ts';
import { ASSEMBLY } from './assembly.ts';

/** Before the whole suite: templates and bundles of the sources as they are now. */
export default async function setup(): Promise<void> {
  await synthesize(ASSEMBLY);
}
