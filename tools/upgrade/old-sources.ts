import { execFile } from 'node:child_process';
import { mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { synthesizeSources } from '../../local/start/index.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

/** The tag of the newest version before this one. @throws Error that asks for a commit if there is none */
export async function newestTag(): Promise<string> {
  const { stdout } = await run('git', ['tag', '--list', 'v*', '--sort=-v:refname', '--no-contains', 'HEAD'], {
    cwd: ROOT,
  });
  const [tag] = stdout.split('\n').filter((line) => line !== '');
  if (tag !== undefined) return tag;
  throw new Error('No earlier version has a tag (v1.2.3) here. Name a commit: npm run upgrade -- <git ref>');
}

/**
 * Synthesizes the cloud assembly of another version from its sources, with the packages of this version.
 * @param ref a commit, branch or tag
 * @param folder for the sources and `cdk.out`
 * @throws Error if the repository does not have the version, or with the output of the CDK
 */
export async function oldAssembly(ref: string, folder: string): Promise<string> {
  const sources = join(folder, 'sources');
  const archive = join(folder, 'sources.tar');
  mkdirSync(sources);
  await run('git', ['archive', '--output', archive, ref], { cwd: ROOT }).catch(({ stderr }) => {
    throw new Error(`The sources of ${ref} are not in this repository (git fetch --unshallow gets them): ${stderr}`);
  });
  await run('tar', ['-xf', archive, '-C', sources]);
  symlinkSync(realpathSync(join(ROOT, 'node_modules')), join(sources, 'node_modules'));
  const assembly = join(folder, 'cdk.out');
  await synthesizeSources(sources, assembly);
  return assembly;
}
