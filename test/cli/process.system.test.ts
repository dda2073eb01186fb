import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cli, ended } from '../support/cli.ts';

let home: string;
let cli: Cli;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'paku-ota-process-'));
  cli = new Cli(home);
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

async function urlOfNobody(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return `http://127.0.0.1:${port}`;
}

describe('paku-ota', () => {
  test('exits with 2 for wrong usage and with 0 for help, and the help shows examples', async () => {
    const help = await cli.print('rollout', 'create', '--help');
    expect(help).toContain('Examples:\n  paku-ota rollout create --model esp32-s3 --version 2.1.0\n');
    expect(help).toContain('Exit codes: 0 done, 1 refused or failed, 2 wrong usage.');
    expect(await cli.run('rolout')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Did you mean rollout?'),
    });
    expect(await cli.run('device', 'show')).toMatchObject({ code: 2 });
    expect((await cli.run('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test('ends without a word when the reader of its output has read enough', async () => {
    expect(await ended(cli.startInto('true', 'cost', '--devices', '1000'))).toMatchObject({ stderr: '' });
  });

  test('says what to do when no system runs, or when the system was stopped', async () => {
    const nowhere = join(home, 'nowhere');
    expect(await new Cli(nowhere).run('fleet')).toEqual({
      code: 1,
      stdout: '',
      stderr: `paku-ota: no local system runs in ${nowhere}: start one with npm start, name another with PAKU_OTA_HOME, or use --aws\n`,
    });
    const s3 = { accessKeyId: 'key', secretAccessKey: 'secret' };
    const gone = { region: 'eu-west-1', s3, api: { url: await urlOfNobody() } };
    writeFileSync(join(home, 'endpoints.json'), JSON.stringify(gone));
    expect((await cli.run('fleet')).stderr).toMatch(
      /^paku-ota: the local system in .* does not answer at http:\/\/127\.0\.0\.1:\d+ \(ECONNREFUSED\): start it again with npm start\n$/,
    );
  });
});
