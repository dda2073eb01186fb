import { buildConsole } from '../../local/console.ts';
import { synthesize } from '../../local/synthesize.ts';
import { ASSEMBLY } from './assembly.ts';

/** Before the whole suite: templates, bundles and pages of the sources as they are now. */
export default async function setup(): Promise<void> {
  await synthesize(ASSEMBLY);
  await buildConsole();
}
