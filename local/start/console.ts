import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { signedFetch } from '../../api/signed-fetch.ts';
import { type RunningConsole, startConsole } from '../../console/server/index.ts';
import type { Endpoints } from '../home/index.ts';
import { fingerprintOf } from './synthesize.ts';

export const CONSOLE_PORT = 8482;

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGES = join(ROOT, 'console', 'dist');
/** Inputs of the build. */
const SOURCES = [
  'console/src',
  'console/public',
  'console/index.html',
  'console/vite.config.ts',
  'api',
  'package-lock.json',
];
const FINGERPRINT_FILE = join(PAGES, '.sources');

/**
 * Builds the pages of the console if their sources have changed since the last build.
 * @returns the folder of the pages @throws Error with the output of Vite
 */
export async function buildConsole(): Promise<string> {
  const fingerprint = fingerprintOf(SOURCES);
  if (existsSync(FINGERPRINT_FILE) && readFileSync(FINGERPRINT_FILE, 'utf8') === fingerprint) return PAGES;
  const vite = join(ROOT, 'node_modules', 'vite', 'bin', 'vite.js');
  if (!existsSync(vite)) {
    throw new Error(
      `the pages of the console are not built in ${ROOT}, nor is Vite there to build them: run it in a clone, after npm ci`,
    );
  }
  const config = join(ROOT, 'console', 'vite.config.ts');
  // The NODE_ENV of this process must not turn on React's development checks.
  const env = { ...process.env, NODE_ENV: 'production' };
  const args = [vite, 'build', '-c', config, '--logLevel', 'warn'];
  await promisify(execFile)(process.execPath, args, { cwd: ROOT, env }).catch(({ stdout, stderr }) => {
    throw new Error(`vite build failed:\n${stdout}${stderr}`);
  });
  writeFileSync(FINGERPRINT_FILE, fingerprint);
  return PAGES;
}

type ConsoleEndpoints = Pick<Endpoints, 'region' | 'api'>;

/** Serves the console of the local system. It signs with the operator's local credentials. */
export async function startLocalConsole(
  files: string,
  endpoints: ConsoleEndpoints,
  port: number,
): Promise<RunningConsole> {
  const { region, api } = endpoints;
  try {
    return await startConsole({ files, apiUrl: api.url, fetch: signedFetch(region, api), port });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new Error(
      `Port ${port} (console) is in use by another program. Stop that one, or choose other ports: npm start -- --ports 9883,9480,9481,9482`,
    );
  }
}
