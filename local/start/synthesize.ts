import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CDK = join(ROOT, 'node_modules', 'aws-cdk', 'bin', 'cdk');
/** What the templates and bundles are made from. */
const SOURCES = ['bin', 'lib', 'lambdas', 'api', 'core', 'schema', 'cdk.json', 'package-lock.json', 'tsconfig.json'];
const FINGERPRINT_FILE = '.sources';

/**
 * Runs `cdk synth` unless the sources are those of the last time.
 * @param folder the cloud assembly
 * @param settings instead of those of cdk.json
 * @throws Error with what the CDK said
 */
export async function synthesize(folder: string, settings?: object): Promise<void> {
  const fingerprint = fingerprintOf(SOURCES);
  const file = join(folder, FINGERPRINT_FILE);
  if (existsSync(file) && readFileSync(file, 'utf8') === fingerprint) return;
  await synthesizeSources(ROOT, folder, settings);
  writeFileSync(file, fingerprint);
}

/**
 * Runs `cdk synth`.
 * @param root of the sources, of this version or another
 * @param folder the cloud assembly
 * @throws Error with what the CDK said
 */
export async function synthesizeSources(root: string, folder: string, settings?: object): Promise<void> {
  const context = settings === undefined ? [] : ['-c', `paku-ota=${JSON.stringify(settings)}`];
  const args = [CDK, 'synth', '--quiet', '--output', folder, ...context];
  await promisify(execFile)(process.execPath, args, { cwd: root }).catch(({ stdout, stderr }) => {
    throw new Error(`cdk synth failed:\n${stdout}${stderr}`);
  });
}

/** @param names of files, and of folders with all that is in them, relative to the root */
export function fingerprintOf(names: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of names.flatMap(filesIn).sort()) hash.update(path).update(readFileSync(join(ROOT, path)));
  return hash.digest('hex');
}

/** @param name of a file or folder, relative to the root, as the results are */
function filesIn(name: string): string[] {
  if (!existsSync(join(ROOT, name))) return [];
  if (statSync(join(ROOT, name)).isFile()) return [name];
  return readdirSync(join(ROOT, name)).flatMap((entry) => filesIn(join(name, entry)));
}
