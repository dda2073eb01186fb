import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** What the templates and bundles are made from. */
const SOURCES = ['bin', 'lib', 'lambdas', 'core', 'schema', 'cdk.json', 'package-lock.json', 'tsconfig.json'];
const FINGERPRINT_FILE = '.sources';

/**
 * Runs `cdk synth` unless the sources are those of the last time.
 * @param folder the cloud assembly
 * @param settings instead of those of cdk.json
 * @throws Error with what the CDK said
 */
export async function synthesize(folder: string, settings?: object): Promise<void> {
  const fingerprint = fingerprintOf(SOURCES.map((name) => join(ROOT, name)));
  const context = settings === undefined ? [] : ['-c', `paku-ota=${JSON.stringify(settings)}`];
  const file = join(folder, FINGERPRINT_FILE);
  if (existsSync(file) && readFileSync(file, 'utf8') === fingerprint) return;
  await runCdk(['synth', '--quiet', '--output', folder, ...context]);
  writeFileSync(file, fingerprint);
}

function fingerprintOf(paths: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of paths.flatMap(filesIn).sort()) hash.update(path.slice(ROOT.length)).update(readFileSync(path));
  return hash.digest('hex');
}

function filesIn(path: string): string[] {
  if (!existsSync(path)) return [];
  const entries = readdirSyncOrFile(path);
  return entries === undefined ? [path] : entries.flatMap((name) => filesIn(join(path, name)));
}

function readdirSyncOrFile(path: string): string[] | undefined {
  try {
    return readdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined;
    throw error;
  }
}

function runCdk(args: readonly string[]): Promise<void> {
  const cdk = join(ROOT, 'node_modules', 'aws-cdk', 'bin', 'cdk');
  const child = spawn(process.execPath, [cdk, ...args], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  const output: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`cdk ${args.join(' ')} failed:\n${Buffer.concat(output).toString()}`));
    });
  });
}
