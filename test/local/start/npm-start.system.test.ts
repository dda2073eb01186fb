import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
/** It starts in seconds, unless the machine is busy. */
const TIMEOUT_MS = 180_000;

let home: string;
let npm: ChildProcess;
let output = '';
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'paku-ota-npm-start-'));
  npm = spawn('npm', ['start', '--', '--empty', '--ports', '0,0,0,0'], {
    cwd: ROOT,
    env: { ...process.env, DATABASE_URL: undefined, PAKU_OTA_HOME: home },
  });
  for (const stream of [npm.stdout, npm.stderr]) stream?.on('data', (text: Buffer) => (output += text));
});
afterAll(() => {
  for (const pid of [npm.pid, serverPid()]) if (pid !== undefined && isAlive(pid)) process.kill(pid, 'SIGKILL');
  rmSync(home, { recursive: true, force: true });
});

/** The process that has the home. */
function serverPid(): number | undefined {
  const lock = join(home, 'lock');
  return existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : undefined;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('SIGTERM to the process of npm start ends the server too', { timeout: TIMEOUT_MS }, async () => {
  while (!existsSync(join(home, 'endpoints.json'))) {
    expect(npm.exitCode, output).toBeNull();
    await delay(100);
  }
  const server = serverPid() ?? Number.NaN;
  expect([server === npm.pid, isAlive(server)]).toEqual([false, true]);
  const ended = once(npm, 'exit');
  npm.kill('SIGTERM');
  await ended;
  // npm may end before its child.
  while (isAlive(server)) await delay(100);
  expect(existsSync(join(home, 'endpoints.json'))).toBe(false);
});
