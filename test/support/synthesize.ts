import { buildConsole, synthesize } from '../../local/start/index.ts';
import { ASSEMBLY } from './assembly.ts';

/** Before the whole suite: templates, bundles and pages of the sources as they are now. */
export default async function setup(): Promise<void> {
  await synthesize(ASSEMBLY);
  await buildConsole();
}
