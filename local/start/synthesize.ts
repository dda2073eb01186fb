import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CDK = join(ROOT, 'node_modules', 'aws-cdk', 'bin', 'cdk');
/** Inputs of the templates and bundles. */
const SOURCES = ['bin', 'lib', 'lambdas', 'api', 'core', 'schema', 'cdk.json', 'package-lock.json', 'tsconfig.json'];
const FINGERPRINT_FILE = '.sources';

/**
 * Runs `cdk synth` if the sources have changed since the last run.
 * @param folder the folder of the cloud assembly
 * @param settings replace those of cdk.json
 * @throws Error with the output of the CDK
 */
export async function synthesize(folder: string, settings?: object): Promise<void> {
  const fingerprint = fingerprintOf(SOURCES);
  const file = join(folder, FINGERPRINT_FILE);
  if (existsSync(file) && readFileSync(file, 'utf8') === fingerprint) return;
  await synthesizeSources(ROOT, folder, settings);
  writeFileSync(file, fingerprint);
}

/**
 * Runs `cdk synth` into cdk.out also if nothing has changed, and shows its output. {@link synthesize} does not repeat it.
 * @param args more arguments of `cdk synth`; after one that changes the templates (a context) the run is repeated
 * @returns the exit code
 */
export async function synthesizeNow(args: readonly string[]): Promise<number> {
  const folder = join(ROOT, 'cdk.out');
  const file = join(folder, FINGERPRINT_FILE);
  const fingerprint = fingerprintOf(SOURCES);
  rmSync(file, { force: true });
  const child = spawn(process.execPath, [CDK, 'synth', '--quiet', ...args], { cwd: ROOT, stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  if (code === 0 && args.every((argument) => argument === '--strict')) writeFileSync(file, fingerprint);
  return code ?? 1;
}

/**
 * Runs `cdk synth`.
 * @param root the folder of the sources, of this version or another
 * @param folder the folder of the cloud assembly
 * @throws Error with the output of the CDK
 */
export async function synthesizeSources(root: string, folder: string, settings?: object): Promise<void> {
  const context = settings === undefined ? [] : ['-c', `paku-ota=${JSON.stringify(settings)}`];
  const args = [CDK, 'synth', '--quiet', '--output', folder, ...context];
  await promisify(execFile)(process.execPath, args, { cwd: root }).catch(({ stdout, stderr }) => {
    throw new Error(`cdk synth failed:\n${stdout}${stderr}`);
  });
}

/** Hash of the names and contents of files. @param names files and folders relative to the root */
export function fingerprintOf(names: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of names.flatMap(filesIn).sort()) hash.update(path).update(readFileSync(join(ROOT, path)));
  return hash.digest('hex');
}

/** All files of a file or folder. Names are relative to the root. */
function filesIn(name: string): string[] {
  if (!existsSync(join(ROOT, name))) return [];
  if (statSync(join(ROOT, name)).isFile()) return [name];
  return readdirSync(join(ROOT, name)).flatMap((entry) => filesIn(join(name, entry)));
}
