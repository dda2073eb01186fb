import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Diagnosis } from '../../cli/commands/doctor/index.ts';
import { buildImage } from '../../fleet/build-image.ts';
import { scaledClock } from '../../fleet/clock.ts';
import { Cli, ended } from '../support/cli.ts';
import { addDeadStatus } from '../support/dead-letters.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

// Each step is a process of its own, and the machine may be busy.
vi.setConfig({ testTimeout: 90_000 });

let system: TestSystem;
let cli: Cli;
beforeAll(async () => {
  system = await startTestSystem();
  cli = new Cli(system.home);
  const facts = () => ({ slot_size: 1_966_080, chip_revision: 'v0.2', facts: { bay: 'C3' } });
  await system.device({ deviceId: 'ESP32-VAN1', mac: 'A0:B7:65:20:E9:56', clock: scaledClock(10), facts });
  await system.device({ deviceId: 'ESP32-VAN2', mac: 'A0:B7:65:20:E9:57', clock: scaledClock(10) });
  await system.device({ deviceId: 'ESP32-SMALL', clock: scaledClock(10), otaPartitionBytes: 1024 });
  await system.until<{ n: number }>('SELECT count(*)::integer AS n FROM devices', ({ n }) => n === 3);
});
afterAll(() => system?.close());

function image(name: string, bytes: Uint8Array | string): string {
  const file = join(system.home, name);
  writeFileSync(file, bytes);
  return file;
}

/** A draft without a probation, so that the test does not wait minutes for it. */
function rolloutFile(name: string, version: string, more: object = {}): string {
  const draft = { name, device_model: 'esp32-s3', firmware_version: version, probation_minutes: 0, ...more };
  return image(`${version}.json`, JSON.stringify(draft));
}

/** Runs the orchestrator repeatedly until a command has ended. */
async function whileTicking<T>(work: Promise<T>): Promise<T> {
  let isOver = false;
  const over = work.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    await system.runtime.tick();
    await system.runtime.idle();
    await Promise.race([over, new Promise((resolve) => setTimeout(resolve, 200))]);
  }
  return over;
}

describe('releases', () => {
  test('an image is uploaded under its embedded version, and the verdict is printed', async () => {
    const file = image('v1.1.bin', buildImage({ version: '1.1.0' }));
    const added = await cli.run('release', 'add', file, '--model', 'esp32-s3', '--changelog', 'Heater fixed');
    expect(added).toEqual({
      code: 0,
      stdout: 'registered  esp32-s3 1.1.0, ESP32-S3, 65 KiB\n',
      stderr: 'Uploading esp32-s3 1.1.0, 65 KiB\nUploaded. Waiting for the verdict\n',
    });
    expect(await cli.print('release', 'list')).toMatch(
      /^MODEL +VERSION +CHIP +SIZE +DEVICES +REGISTERED +REMARKS\nesp32-s3 +1\.1\.0 +ESP32-S3 +65 KiB +0 +.* +Heater fixed\n$/,
    );
    const shown = await cli.print('release', 'show', 'esp32-s3', '1.1.0');
    expect(shown).toContain('calls itself  paku-core 1.1.0');
    expect(shown).toMatch(/uploaded by +user\/operator, from 127\.0\.0\.1\n/);
    expect((await cli.run('release', 'add', file, '--model', 'esp32-s3')).stdout).toContain('with the same bytes');
    const misspelt = await cli.run('release', 'add', file, '--model', 'esp32-s33');
    expect(misspelt).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/\nNo device of model esp32-s33 has reported yet.\n$/),
    });
  });

  test('a rejected upload exits with 1 and says why, and does not affect the next upload', async () => {
    const wrong = image('c3.bin', buildImage({ chip: 'ESP32-C3', version: '1.2.0' }));
    const rejected = await cli.run('release', 'add', wrong, '--model', 'esp32-s3');
    expect(rejected).toMatchObject({
      code: 1,
      stdout:
        'rejected  firmware/1.2.0/esp32-s3.bin: WRONG_CHIP\n  the image is for ESP32-C3, model esp32-s3 has ESP32-S3\n',
    });
    const right = image('v1.2.bin', buildImage({ version: '1.2.0' }));
    expect(await cli.json('release', 'add', right, '--model', 'esp32-s3')).toMatchObject({
      state: 'registered',
      release: { version: '1.2.0' },
    });
    expect(await cli.print('release', 'list', '--rejected')).toMatch(/KiB +user\/operator +WRONG_CHIP/);
    expect(await cli.print('release', 'rescan', 'firmware/1.2.0/esp32-s3.bin')).toContain('is being verified again');
  });

  test('a file without an embedded version needs --version', async () => {
    const text = image('notes.bin', 'no image at all');
    expect(await cli.run('release', 'add', text, '--model', 'esp32-s3')).toMatchObject({
      code: 2,
      stderr: `paku-ota: ${text} does not say its version: give it with --version\n`,
    });
    const arduino = image('sketch.bin', buildImage({ version: 'esp-idf: v4.4.5 ac5d805d0e' }));
    expect((await cli.run('release', 'add', arduino, '--model', 'esp32-s3')).stderr).toContain('calls itself "esp-idf');
    expect(await cli.run('release', 'add', join(system.home, 'none.bin'), '--model', 'x')).toMatchObject({ code: 1 });
  });

  test('a release is revoked only with a confirmation', async () => {
    const file = image('v1.0.1.bin', buildImage({ version: '1.0.1' }));
    await cli.print('release', 'add', file, '--model', 'esp32-s3');
    const revoke = ['release', 'revoke', 'esp32-s3', '1.0.1', '--reason', 'bricks vans'];
    const asked = await cli.run(...revoke);
    expect(asked).toMatchObject({ code: 2, stdout: '' });
    expect(asked.stderr).toContain('No device runs it.\nNo active rollout sends it.');
    expect(asked.stderr).toContain('This cannot be undone. There is no terminal to answer on: add --yes.');
    expect(await cli.json('release', 'show', 'esp32-s3', '1.0.1')).toMatchObject({ revoked_at: null });
    expect(await cli.print(...revoke, '--yes')).toContain('esp32-s3 1.0.1  revoked');
    expect(await cli.print('release', 'list')).toContain('revoked: bricks vans');
  });
});

describe('devices', () => {
  test('are listed, shown, grouped and given attributes', async () => {
    expect(await cli.print('device', 'group', 'add', 'vans', 'ESP32-VAN1', 'ESP32-VAN2')).toBe('vans: 2 devices\n');
    expect(await cli.run('device', 'group', 'add', 'vans', 'nobody')).toMatchObject({
      code: 1,
      stderr: 'paku-ota: add: not registered: nobody\n',
    });
    expect(await cli.print('device', 'list', '--group', 'vans')).toMatch(
      /^DEVICE +MODEL +VERSION +SEEN +GROUPS +UPDATE +IDENTITY\n● ESP32-VAN1 +esp32-s3 +1\.0\.0 .* +vans +–\n● ESP32-VAN2 /,
    );
    expect(await cli.json('device', 'list', '--limit', '1')).toMatchObject({
      items: [{ device_id: 'ESP32-SMALL' }],
      next_cursor: expect.any(String),
    });
    expect(await cli.print('device', 'attributes', 'ESP32-VAN1', 'site=rome')).toContain('site=rome');
    expect(await cli.print('device', 'show', 'ESP32-VAN1')).toMatch(
      /^ESP32-VAN1 {2}● online: last heard .+\nmodel +esp32-s3\n/,
    );
    expect(await cli.print('device', 'show', 'ESP32-VAN1')).toMatch(
      /states +bay = C3\nstates +slot_bytes = 1,966,080 bytes\nstates +chip_revision = v0\.2\n/,
    );
    expect(await cli.print('device', 'timeline', 'ESP32-VAN1')).toMatch(
      /attributes set .* by: user\/operator, attributes: site=rome\n.* joined group .* by: user\/operator, group: vans\n$/,
    );
    expect(await cli.print('device', 'timeline', 'ESP32-SMALL')).toBe('Nothing happened to it yet.\n');
    expect(await cli.print('device', 'group', 'list')).toBe('GROUP  DEVICES\nvans         2\n');
    expect(await cli.print('device', 'group', 'remove', 'vans', 'ESP32-VAN2')).toBe('vans: 1 device\n');
  });

  test('a device is sent a release, and the state of its update is explained', async () => {
    const owed = await cli.print('device', 'update', 'ESP32-VAN2', '--version', '1.1.0', '--yes');
    expect(owed).toContain('ESP32-VAN2 will get 1.1.0 from rollout "ESP32-VAN2 to 1.1.0');
    await system.runtime.tick();
    await system.until(`SELECT 1 FROM devices WHERE device_id = 'ESP32-VAN2' AND current_firmware_version = '1.1.0'`);
    expect(await cli.print('device', 'explain', 'ESP32-VAN2', '--version', '1.1.0')).toMatch(
      /^ESP32-VAN2: is on probation with 1\.1\.0\nsince +\d{4}-.*\nnext +proven by its first status after .*\ndevice +● online: last heard .*\nAWS IoT +connected for .*\nrollout +ESP32-VAN2 to 1\.1\.0/,
    );
    expect(await cli.print('device', 'timeline', 'ESP32-VAN2')).toMatch(/^AT +EVENT +VERSION +ATTEMPT +DETAIL\n/);
    expect(await cli.run('device', 'explain', 'nobody')).toMatchObject({
      code: 1,
      stderr: 'paku-ota: There is no device nobody.\n  paku-ota device list shows those there are\n',
    });
  });
});

describe('a rollout', () => {
  test('is previewed, created once with a confirmation, and watched until it has completed', async () => {
    const file = rolloutFile('van 1 to 1.2', '1.2.0', { stages: [{ count: 1 }] });
    const flags = ['--file', file, '--device', 'ESP32-VAN1'];
    expect(await cli.print('rollout', 'preview', ...flags)).toBe('1 will be updated; 0 will not.\n');
    const ofBay = ['--model', 'esp32-s3', '--version', '1.2.0', '--fact', 'bay=C3', '--fact', 'slot_bytes>=1900000'];
    expect(await cli.print('rollout', 'preview', ...ofBay)).toBe('1 will be updated; 0 will not.\n');
    expect(await cli.print('rollout', 'preview', '--model', 'esp32-s3', '--version', '1.0.0')).toBe(
      '0 will be updated; 3 will not:\n       2  already on 1.0.0\n       1  newer than 1.0.0\n',
    );

    const asked = await cli.run('rollout', 'create', ...flags);
    expect(asked).toMatchObject({ code: 2, stdout: '' });
    expect(asked.stderr).toMatch(
      /1 will be updated; 0 will not\.\nstages +1 device, then everyone\nhalts +above 10 % failures\n/,
    );
    const made = await cli.run('rollout', 'create', ...flags, '--yes');
    expect(made).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^created {2}van 1 to 1\.2 {2}active {2}#\d+\n$/),
    });
    expect(await cli.print('rollout', 'create', ...flags, '--yes')).toMatch(/^already exists {2}van 1 to 1\.2 /);

    const watched = await whileTicking(cli.run('rollout', 'watch', 'van 1 to 1.2', '--interval', '1'));
    expect(watched).toMatchObject({ code: 0, stderr: '' });
    expect(watched.stdout).toMatch(/completed: 1 device assigned: 1 succeeded\n$/);
    expect(await cli.print('rollout', 'list')).toMatch(/van 1 to 1\.2 +esp32-s3 +1\.2\.0 +completed +1 +1 +0 +0 /);
    expect(await cli.print('rollout', 'show', 'van 1 to 1.2')).toContain(
      'stage 1  ████████████████████████ 100 %  of 1:  1 ✓',
    );
    expect(await cli.print('rollout', 'history', 'van 1 to 1.2')).toContain('completed');
    expect(await cli.print('rollout', 'devices', 'van 1 to 1.2', '--status', 'success')).toContain('ESP32-VAN1');
  });

  test('halted by a bad build ends the watch with 1, which says which device failed and why', async () => {
    const file = rolloutFile('too big', '1.2.0', { stages: [], max_attempts: 1, failure_count: 1 });
    await cli.print('rollout', 'create', '--file', file, '--device', 'ESP32-SMALL', '--yes');
    const watched = await whileTicking(cli.run('rollout', 'watch', 'too big', '--interval', '1'));
    expect(watched.code).toBe(1);
    expect(watched.stdout).toMatch(/✗ ESP32-SMALL {2}failed in attempt 1: .+/);
    expect(watched.stderr).toContain('paku-ota: "too big" was halted by');
    expect(await cli.print('rollout', 'progress', 'too big')).toContain('Failures by reason\n       1  failed: ');
    expect(await cli.print('fleet')).toContain('! Rollout "too big" is halted');
    const retry = ['rollout', 'retry', 'too big', '--reason', 'a larger partition', '--yes'];
    expect(await cli.print(...retry)).toContain('active');
    await cli.print('rollout', 'abort', 'too big', '--reason', 'no larger partition', '--yes');
  });

  test('is paused, resumed, advanced and aborted, each only in a state that allows it', async () => {
    const because = ['--reason', 'lunch'];
    const file = rolloutFile('held', '1.2.0', { stages: [{ percentage: 50 }], target_filter: { versions: ['0.1'] } });
    await cli.print('rollout', 'create', '--file', file, '--draft', '--yes');
    expect(await cli.run('rollout', 'watch', 'held')).toMatchObject({
      code: 1,
      stderr: 'paku-ota: "held" is a draft: start it with paku-ota rollout change "held" --start\n',
    });
    expect(await cli.run('rollout', 'change', 'held')).toMatchObject({ code: 2 });
    const { rollout_id: id } = await cli.json<{ rollout_id: number }>('rollout', 'show', 'held');
    const covers = ['--first-stage-covers', 'version, attributes.site'];
    const edit = ['rollout', 'edit', 'held', '--priority', '4', '--percentage', '50', ...covers];
    expect((await cli.run(...edit)).stderr).toContain('Replace the draft? There is no terminal to answer on');
    expect(await cli.json(...edit, '--yes')).toMatchObject({
      rollout_id: id,
      state: 'draft',
      priority: 4,
      rollout_percentage: 50,
      stages: [{ percentage: 50 }],
      first_stage_covers: ['version', 'attributes.site'],
      target_filter: { versions: ['0.1'] },
    });
    expect((await cli.run('rollout', 'change', 'held', '--start')).stderr).toContain('nothing would be updated');
    expect(await cli.json('rollout', 'change', 'held', '--start', '--max-in-flight', '3', '--yes')).toMatchObject({
      state: 'active',
      max_in_flight: 3,
    });
    const limits = ['--max-in-flight', 'none', '--max-in-flight-per', 'site=2'];
    expect(await cli.json('rollout', 'change', 'held', ...limits)).toMatchObject({
      max_in_flight: null,
      max_in_flight_per: { attribute: 'site', max: 2 },
    });
    expect(await cli.run(...edit, '--yes')).toMatchObject({
      code: 1,
      stderr: 'paku-ota: "held" is active: only a draft can be edited\n',
    });
    expect(await cli.run('rollout', 'advance', 'held', ...because, '--yes')).toMatchObject({
      code: 1,
      stderr: 'paku-ota: Rollout "held" cannot advance: it has not started.\n',
    });
    expect(await cli.print('rollout', 'pause', 'held', ...because)).toMatch(/held {2}paused.*\n.*\nbecause +lunch\n/);
    expect(await cli.print('rollout', 'resume', 'held', ...because, '--yes')).toMatch(/^held {2}active/);
    expect(await cli.print('rollout', 'abort', 'held', ...because, '--yes')).toMatch(/^held {2}aborted/);
    expect(await cli.run('rollout', 'watch', 'held')).toMatchObject({ code: 1 });
  });

  test('is neither started nor ended without a confirmation, and not changed without a reason', async () => {
    const file = rolloutFile('asked', '1.2.0', { target_filter: { versions: ['0.1'] } });
    await cli.print('rollout', 'create', '--file', file, '--draft', '--yes');
    const asking = [
      ['rollout', 'change', 'asked', '--start'],
      ...['resume', 'abort', 'advance', 'retry'].map((action) => ['rollout', action, 'asked', '--reason', 'x']),
      ['device', 'update', 'ESP32-VAN1', '--version', '1.2.0'],
    ];
    for (const args of asking) {
      const stderr = expect.stringContaining('There is no terminal to answer on: add --yes.');
      expect(await cli.run(...args), args.join(' ')).toMatchObject({ code: 2, stderr });
    }
    const refused = await cli.run('device', 'update', 'ESP32-VAN1', '--version', '9.9.9');
    expect(refused.stderr).toContain('It would be refused: release 9.9.9 is not registered for esp32-s3.');
    for (const action of ['pause', 'resume', 'abort', 'advance', 'retry']) {
      expect(await cli.run('rollout', action, 'asked', ...(action === 'pause' ? [] : ['--yes']))).toMatchObject({
        code: 2,
        stderr: expect.stringContaining("required option '--reason <text>' not specified"),
      });
    }
    expect(await cli.json('rollout', 'show', 'asked')).toMatchObject({ state: 'draft' });
  });

  test('refused by the API is an error that names the fields', async () => {
    const create = ['rollout', 'create', '--model', 'esp32-s3', '--version', '1.2.0', '--yes', '--name', 'refused'];
    expect(await cli.run(...create, '--stages', '20%,10%')).toMatchObject({
      code: 1,
      stderr: 'paku-ota: stages: each stage must be larger than the one before\n',
    });
    const usage = await cli.run(...create, '--stages', 'some');
    expect(usage.code).toBe(2);
    expect(usage.stderr).toContain(
      '"some" is not a valid stage; expected a form like 5%, 25%:60m, 10:1h, group=lab or 5%:1d:person.',
    );
  });
});

describe('holds', () => {
  test('stop everything that sends with one command, and say what their removal sends', async () => {
    const sent = () =>
      system.database.query(
        `SELECT update_id FROM update_attempts WHERE version = '3.0.0' AND device_id = 'ESP32-VAN1'`,
      );
    await cli.print('release', 'add', image('3.bin', buildImage({ version: '3.0.0' })), '--model', 'esp32-s3');
    const asked = await cli.run('stop');
    expect(asked).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^3 devices would be sent nothing; \d active/),
    });
    expect(asked.stderr).toContain('Hold the whole service on the local system');
    expect(await cli.print('stop', '--yes')).toMatch(
      /^the whole service is held: stopped with paku-ota stop \(set by .*\)\.\n3 devices held; 0 pending updates waiting\. /,
    );
    const { items } = await cli.json<{ items: { hold_id: number }[] }>('hold', 'list');
    const id = String(items[0]?.hold_id);
    const lab = { target_type: 'group', target_filter: { groups: ['lab'] } };
    const file = rolloutFile('after the stop', '3.0.0', { stages: [], ...lab });
    await cli.print('rollout', 'create', '--file', file, '--yes');
    expect(await cli.run('device', 'group', 'add', 'lab', 'ESP32-VAN1')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(
        /^Rollout "after the stop" sends 3\.0\.0 to 1 device, as its stages and limits allow\.\n.*which sends 1 update\?/,
      ),
    });
    expect(await cli.print('device', 'group', 'add', 'lab', 'ESP32-VAN1', '--yes')).toBe('lab: 1 device\n');
    expect(await cli.print('rollout', 'preview', 'after the stop')).toMatch(
      /^1 will be updated; 0 will not\.\n1 device of those that will waits: the whole service is held: /,
    );
    for (let n = 0; n < 3; n++) {
      await system.runtime.tick();
      await system.runtime.idle();
    }
    expect(await sent()).toEqual([]);
    expect(await cli.print('device', 'explain', 'ESP32-VAN1')).toContain(
      'ESP32-VAN1: is held with the whole service: ',
    );
    expect(await cli.print('device', 'show', 'ESP32-VAN1')).toMatch(/held +the whole service is held: /);
    expect(await cli.print('rollout', 'show', 'after the stop')).toMatch(/now +the whole service is held: /);
    expect(await cli.print('fleet')).toContain('! The whole service is held: ');
    expect(await cli.run('hold', 'remove', id, '--reason', 'checked')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(
        'Rollout "after the stop" sends 3.0.0 to 1 device, as its stages and limits allow.',
      ),
    });
    expect(await cli.print('hold', 'remove', id, '--reason', 'checked', '--yes')).toContain(`Hold ${id} has ended.`);
    expect(await whileTicking(cli.run('rollout', 'watch', 'after the stop', '--interval', '1'))).toMatchObject({
      code: 0,
    });
    expect(await sent()).toHaveLength(1);
    expect(await cli.print('rollout', 'history', 'after the stop')).toMatch(/hold ended/i);
    expect(await cli.print('hold', 'list', '--ended')).toContain('stopped with paku-ota stop');
    const later = ['--from', '2036-12-20T18:00:00Z', '--until', '2037-01-07T06:00:00Z'];
    expect(await cli.print('hold', 'add', '--service', '--reason', 'holidays', ...later, '--yes')).toMatch(
      /is held from .* until .*: holidays/,
    );
    expect(await cli.print('hold', 'list')).toMatch(/planned: /);
  });

  test('of a device are set and removed by name, and only one of device, group and service', async () => {
    const hold = ['hold', 'add', '--reason', 'at a fair'];
    expect(await cli.run(...hold)).toMatchObject({
      code: 2,
      stderr: 'paku-ota: name one of --device, --group and --service\n',
    });
    expect(await cli.run(...hold, '--group', 'nobody', '--yes')).toMatchObject({ code: 1 });
    const set = await cli.json<{ hold_id: number }>(
      ...hold,
      '--device',
      'ESP32-VAN1',
      '--until',
      '2099-01-01',
      '--yes',
    );
    expect(set).toMatchObject({ scope: 'device', device_id: 'ESP32-VAN1', ends_at: '2099-01-01T00:00:00.000Z' });
    expect(await cli.print('hold', 'list')).toMatch(/^ID +HOLDS +DEVICES .*\n *\d+ +ESP32-VAN1 +1 +0 .* 2099-01-01 /);
    expect(await cli.print('device', 'timeline', 'ESP32-VAN1')).toContain('device held');
    expect(await cli.print('hold', 'remove', String(set.hold_id), '--reason', 'over', '--yes')).toContain(
      'No rollout sends',
    );
  });
});

describe('the service', () => {
  test('prints decisions, and follows new ones', async () => {
    const { items } = await cli.json<{ items: { event_id: number }[] }>('events', '--limit', '1');
    const follower = cli.start('events', '--follow', '--json', '--after', String(items[0]?.event_id));
    const over = ended(follower);
    const lines = createInterface({ input: follower.stdout as NodeJS.ReadableStream });
    const told = once(lines, 'line');
    await cli.print('rollout', 'create', '--file', rolloutFile('news', '1.2.0'), '--draft', '--yes');
    const [line] = (await told) as [string];
    expect(JSON.parse(line)).toMatchObject({ rollout_name: 'news', event: 'rollout_created' });
    follower.kill();
    await over;
    expect(await cli.print('events')).toMatch(/^AT +ROLLOUT +EVENT +BY +WHY\n/);
  });

  test('runs the orchestrator on demand, and lists dead letters', async () => {
    expect(await cli.json('tick')).toMatchObject({ ran: true });
    expect(await cli.print('dead-letters', 'list')).toBe(
      'QUEUE     MESSAGES\nstatus           0\nota              0\nupload           0\ndispatch         0\n',
    );
    expect(await cli.print('dead-letters', 'redrive', 'status')).toBe('status: there is nothing to move back\n');
    expect(await cli.run('dead-letters', 'redrive', 'x')).toMatchObject({ code: 1 });
    expect(await cli.print('rejected-messages')).toBe('No message was rejected.\n');
  });

  test('serves the console to this machine only, until a signal ends it', async () => {
    const serving = cli.start('console', '--json');
    const over = ended(serving);
    let printed = '';
    for await (const chunk of serving.stdout as AsyncIterable<string>) {
      printed += chunk;
      if (printed.trimEnd().endsWith('}')) break;
    }
    const { url } = JSON.parse(printed) as { url: string };
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#key=/);
    expect((await fetch(new URL('/v1/fleet', url))).status).toBe(403);
    const { origin, hash } = new URL(url);
    const key = { origin, 'x-paku-ota-key': hash.replace('#key=', '') };
    const opened = await fetch(`${origin}/session`, { method: 'POST', headers: key });
    const { token } = (await opened.json()) as { token: string };
    const fleet = await fetch(`${origin}/v1/fleet`, { headers: { authorization: `Bearer ${token}` } });
    expect(await fleet.json()).toMatchObject({ devices: 3 });
    serving.kill('SIGINT');
    expect(await over).toMatchObject({ code: 0 });
  });

  test('passes every check of the doctor, with the behaviour of AWS reported as imitated', async () => {
    const { code, stdout } = await cli.run('doctor');
    expect(stdout).toMatch(/pass +identity +arn:aws:iam::/);
    expect(stdout).toContain('Nothing is wrong that can be seen from here.');
    expect(code).toBe(0);
    const { checks, assumptions } = await cli.json<Diagnosis>('doctor');
    expect(checks.map(({ check, outcome }) => [check, outcome])).toEqual(
      ['API', 'clock', 'identity', 'round trip', 'schema', 'device links', 'dead letters', 'broker'].map((check) => [
        check,
        'pass',
      ]),
    );
    expect(new Set(assumptions.map(({ outcome }) => outcome))).toEqual(new Set(['imitated']));
  });
});

test('a known issue keeps devices from a release until the one that fixes it', async () => {
  for (const version of ['8.0.0', '8.1.0']) {
    await cli.print('release', 'add', image(`${version}.bin`, buildImage({ version })), '--model', 'esp32-s3');
  }
  const add = ['issue', 'add', 'esp32-s3', '8.0.0', '--title', 'old heaters stay on', '--device', 'ESP32-VAN1'];
  expect(await cli.run(...add)).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(
      /^1 device is sent no release that has it; 0 pending updates to such a release are not sent\.\n.*Keep 1 device on .* from 8\.0\.0\?/,
    ),
  });
  const added = await cli.print(...add, '--yes');
  const id = /^known issue (\d+): old heaters stay on {2}open\n/.exec(added)?.[1] ?? '';
  expect(added).toMatch(/^concerns +the device ESP32-VAN1$/m);
  expect(await cli.print('release', 'show', 'esp32-s3', '8.1.0')).toMatch(
    /^Known issues:\nID .*\n *\d+ .*old heaters/m,
  );
  expect(await cli.print('rollout', 'preview', '--model', 'esp32-s3', '--version', '8.0.0')).toContain(
    `known issue ${id}: old heaters stay on (\`paku-ota issue show ${id}\`)`,
  );
  const fix = ['issue', 'fix', id, '--in', '8.1.0'];
  expect(await cli.run(...fix)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(`No rollout sends anything because of it.\n`),
  });
  expect(await cli.print(...fix, '--yes')).toContain(`Known issue ${id} is fixed in 8.1.0.`);
  expect(await cli.print('issue', 'list')).toBe('No known issues.\n');
  expect(await cli.print('issue', 'list', '--model', 'esp32-s3', '--version', '8.0.0')).toContain('fixed in 8.1.0');
  await cli.print('issue', 'withdraw', id, '--reason', 'wired wrongly', '--yes');
  expect(await cli.print('issue', 'show', id)).toMatch(/^because +wired wrongly$/m);
  expect(await cli.run('issue', 'show', 'x')).toMatchObject({ code: 2 });
});

test('output has no colours in a pipe, unless FORCE_COLOR is set', async () => {
  expect(await cli.print('device', 'list')).not.toContain('\x1b');
  expect(await new Cli(system.home, { FORCE_COLOR: '1' }).print('device', 'list')).toContain('\x1b[32m●');
  expect(await new Cli(system.home, { FORCE_COLOR: '1', NO_COLOR: '1' }).print('device', 'list')).not.toContain('\x1b');
});

test('dead letters are redriven by a command, and are processed', async () => {
  await addDeadStatus(system, 'ESP32-RISEN');
  expect(await cli.print('dead-letters', 'list')).toMatch(/^status +1$/m);
  expect(await cli.print('dead-letters', 'redrive', 'status')).toBe('status: moving back 1 message\n');
  await system.until(`SELECT 1 FROM devices WHERE device_id = 'ESP32-RISEN'`);
});

test('devices that may ask for a certificate are added to the list, listed and removed', async () => {
  const file = image('serials.txt', 'ESP32-NEW1\n\n ESP32-NEW2 \n');
  expect(await cli.print('device', 'allow', 'add', 'ESP32-NEW3', '--file', file)).toBe(
    '3 devices may ask for a certificate\n',
  );
  expect(await cli.print('device', 'allow', 'list')).toMatch(/^ESP32-NEW1 .*\nESP32-NEW2 .*\nESP32-NEW3 /m);
  expect(await cli.print('device', 'allow', 'remove', 'ESP32-NEW2', 'ESP32-NEW3')).toBe('2 devices taken off\n');
  expect(await cli.json('device', 'allow', 'list')).toMatchObject({ items: [{ device_id: 'ESP32-NEW1' }] });
  expect(await cli.run('device', 'allow', 'add')).toMatchObject({ code: 2 });
  const boards = image('boards.txt', 'ESP32-B1 A0:B7:65:20:E9:01\nESP32-B2\n');
  await cli.print('device', 'allow', 'add', '--file', boards, '--model', 'ESP32-S3');
  expect(await cli.print('device', 'allow', 'list')).toMatch(
    /^ESP32-B1 .*esp32-s3 +A0:B7:65:20:E9:01 .*\nESP32-B2 .*esp32-s3 /m,
  );
  expect(await cli.run('device', 'allow', 'add', '--file', boards)).toMatchObject({ code: 2 });
});

test('the model of devices that report none is shown as assumed, and stated', async () => {
  await system.database.query(`INSERT INTO devices (device_id) VALUES ('ESP32-M1'), ('ESP32-M2')`);
  expect(await cli.print('device', 'list', '--search', 'ESP32-M')).toMatch(/^○ ESP32-M1 +esp32-s3 \(assumed\)/m);
  expect(await cli.print('device', 'show', 'ESP32-M1')).toContain(
    'its model was never stated; only rollouts that name it by its id update it: paku-ota device accept ESP32-M1 --model <model>',
  );
  expect(await cli.print('fleet')).toContain(' was never stated: ');
  const stated = await cli.run(
    ...['device', 'accept', 'ESP32-M1', 'ESP32-M2', '--model', 'ESP32-C3', '--reason', 'read on the boards', '--yes'],
  );
  expect(stated.stdout).toMatch(/^ESP32-M1 .*\nmodel +esp32-c3\n(.*\n)*ESP32-M2 .*\nmodel +esp32-c3\n/m);
  expect(await cli.run('device', 'accept', 'ESP32-M1', '--reason', 'again', '--yes')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('there is nothing to accept'),
  });
});

test('the cost is projected without a system', async () => {
  expect(await cli.print('cost', '--devices', '100')).toMatch(/^total +\d+\.\d\d$/m);
  expect(await cli.run('cost', '--image-mib', '17')).toMatchObject({ code: 2 });
});
