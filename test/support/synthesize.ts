import { buildConsole, synthesize } from '../../local/start/index.ts';
import { ASSEMBLY } from './assembly.ts';

/** Runs before the suite: builds the templates, bundles and pages from the current sources. */
export default async function setup(): Promise<void> {
  await synthesize(ASSEMBLY);
  await buildConsole();
}
