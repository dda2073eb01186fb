import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Endpoints } from '../../../local/home/index.ts';
import { freePorts, isFree } from '../../support/free-ports.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'paku-ota-npm-start-'));
});
afterAll(() => {
  // A server that outlived npm would keep its ports.
  if (existsSync(join(home, 'lock'))) process.kill(Number(readFileSync(join(home, 'lock'), 'utf8')), 'SIGKILL');
  rmSync(home, { recursive: true, force: true });
});

test('npm start passes its arguments on, and a SIGTERM to npm alone stops the server', async () => {
  const ports = await freePorts(4);
  const [mqtt, aws, api] = ports;
  const npm = spawn('npm', ['start', '--', '--empty', '--ports', ports.join(',')], {
    cwd: ROOT,
    env: { ...process.env, DATABASE_URL: undefined, PAKU_OTA_HOME: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exit = once(npm, 'exit');
  let output = '';
  for (const stream of [npm.stdout, npm.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  const isUp = () => output.includes('Ctrl-C stops it');
  for (let polls = 0; !isUp(); polls++) {
    if (npm.exitCode !== null || npm.signalCode !== null || polls > 2_400)
      throw new Error(`it did not start:\n${output}`);
    await delay(100);
  }
  const endpoints = JSON.parse(readFileSync(join(home, 'endpoints.json'), 'utf8')) as Endpoints;
  expect(endpoints.mqtt.port).toBe(mqtt);
  expect(endpoints.s3.endpoint).toBe(`http://127.0.0.1:${aws}`);
  expect(endpoints.api.url).toBe(`http://127.0.0.1:${api}`);
  expect(await Promise.all(ports.map(isFree))).toEqual([false, false, false, false]);

  npm.kill('SIGTERM');
  await exit;
  expect(await Promise.all(ports.map(isFree)), output).toEqual([true, true, true, true]);
  expect(existsSync(join(home, 'lock')), output).toBe(false);
  // The start synthesizes the templates first, which takes minutes on a busy machine.
}, 300_000);
