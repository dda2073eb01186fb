import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { explainDevice } from '../../../core/explain/index.ts';
import { abortRollout, stopRollout } from '../../../core/rollouts/index.ts';
import { CALLER, refusal, TestApi } from '../../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
let client: TestApi['client'];
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '1.0.0');
  await addRelease(db.app, '2.0.0');
  service = new TestService(db.app, db.roles);
  client = new TestApi(db.roles.control, () => service.now).client;
});

/** Sends 2.0.0 to devices on 1.0.0, all at once. */
async function rollOut(devices: number, columns: Record<string, unknown> = {}): Promise<number> {
  await addDevices(db.app, devices);
  const id = await addRollout(db.app, 'to 2.0.0', '2.0.0', { stages: [], failure_threshold: 1, ...columns });
  await service.tick();
  return id;
}

/** Stops the rollout and cancels what it has not delivered. */
async function halt(id: number): Promise<void> {
  await stopRollout(db.app, { rolloutId: id, reason: 'a bad build', by: 'orchestrator' }, service.now);
  await service.tick();
}

/** Restarts that a device reports on its present version, one per minute. */
async function crash(device: string, version: string, times: number): Promise<void> {
  for (let n = 0; n < times; n++) {
    service.later(1);
    await service.status(device, version, 2);
  }
}

/** A rollout completes when its devices have ended and its stage has lasted for a probation. */
async function complete(): Promise<void> {
  await service.tick();
  service.later(6);
  await service.tick();
}

const WHY = 'it restarts again and again';
const recover = (id: number) => client.recover(id, WHY);

const outcomes = (device: string) =>
  db.app.query<{ version: string; status: string; reason: string | null }>(
    `SELECT firmware_version AS version, status, error_message AS reason FROM device_update_status
     WHERE device_id = :device AND NOT is_replaced ORDER BY id`,
    { device },
  );
const statuses = async (device: string) => (await outcomes(device)).map(({ version, status }) => [version, status]);

describe('a recovery', () => {
  test('sends a device in a crash loop the version that it ran before, at its next contact, and proves it', async () => {
    const id = await rollOut(1);
    await service.boot('d0');
    await crash('d0', '2.0.0', 3);
    expect(await statuses('d0')).toEqual([['2.0.0', 'failed']]);
    await halt(id);

    expect(await client.previewRecovery(id)).toMatchObject({
      can_recover: true,
      devices: 1,
      by_version: [{ firmware_version: '1.0.0', devices: 1, may_run: 0 }],
      cannot: [],
      recoveries: [],
    });
    expect(await recover(id)).toMatchObject({ devices: 1, recoveries: [{ name: 'to 2.0.0 (#1) back to 1.0.0' }] });
    await crash('d0', '2.0.0', 1);
    expect(service.sent.at(-1)).toMatchObject({ deviceId: 'd0', version: '1.0.0' });
    await service.succeed('d0');
    expect(await statuses('d0')).toEqual([
      ['2.0.0', 'failed'],
      ['1.0.0', 'success'],
    ]);
    await complete();
    expect((await client.previewRecovery(id)).recoveries).toMatchObject([{ state: 'completed', succeeded: 1 }]);
  });

  test('takes devices on probation, proven ones and those that went silent after booting, and no other', async () => {
    const id = await rollOut(6);
    await service.succeed('d0');
    // Dark after booting: five usual reports, an hour each, do not come.
    await service.boot('d1');
    service.later(6 * 60);
    await service.tick();
    await service.boot('d2');
    // Rolled back by its bootloader.
    await service.fetch('d3');
    await service.result('d3', 0);
    service.later(1);
    await service.status('d3', '1.0.0', 5);
    expect(await statuses('d1')).toEqual([['2.0.0', 'timed_out']]);
    expect(await statuses('d3')).toEqual([['2.0.0', 'rolled_back']]);
    await halt(id);

    expect(await client.previewRecovery(id)).toMatchObject({ devices: 3 });
    expect(await recover(id)).toMatchObject({ devices: 3 });
    expect(await statuses('d2')).toEqual([
      ['2.0.0', 'canceled'],
      ['1.0.0', 'pending'],
    ]);
    expect((await outcomes('d2'))[0]?.reason).toBe('sent back to 1.0.0 by rollout "to 2.0.0 (#1) back to 1.0.0"');
    expect(await explainDevice(db.app, id, 'd2', service.now)).toMatchObject({
      rule: 'canceled in attempt 2: sent back to 1.0.0 by rollout "to 2.0.0 (#1) back to 1.0.0"',
      next: 'nothing: this rollout does not send it the version again',
    });
    for (const spared of ['d3', 'd4', 'd5']) expect(await statuses(spared)).toHaveLength(1);
    for (const device of ['d0', 'd1', 'd2']) expect(await statuses(device)).toContainEqual(['1.0.0', 'pending']);
  });

  test('takes a device that went silent before it reported the version; it is left alone if it runs the earlier one', async () => {
    const id = await rollOut(2);
    for (const device of ['d0', 'd1']) {
      await service.fetch(device);
      await service.result(device, 0);
    }
    // Five reports of a device whose usual interval is not known.
    service.later(301);
    await service.tick();
    expect(await statuses('d0')).toEqual([['2.0.0', 'timed_out']]);
    await halt(id);
    expect((await client.previewRecovery(id)).by_version).toEqual([
      { firmware_version: '1.0.0', devices: 2, may_run: 2 },
    ]);
    await recover(id);

    const before = service.sent.length;
    service.later(60);
    await service.status('d0', '2.0.0', 3);
    await service.status('d1', '1.0.0', 3);
    expect(service.sent.slice(before)).toMatchObject([{ deviceId: 'd0', version: '1.0.0' }]);
    expect((await outcomes('d1')).at(-1)).toMatchObject({
      status: 'canceled',
      reason: 'not sent: the device already runs 1.0.0',
    });
  });

  test('takes a device that still downloads the bad release once it runs that', async () => {
    const id = await rollOut(2);
    await service.boot('d0');
    await service.fetch('d1');
    await halt(id);
    expect(await client.previewRecovery(id)).toMatchObject({ devices: 1, under_way: 1 });
    await recover(id);
    await service.tick();
    await service.result('d1', 0);
    service.later(1);
    await service.status('d1', '2.0.0', 10);
    await service.tick();
    expect(await statuses('d1')).toEqual([
      ['2.0.0', 'canceled'],
      ['1.0.0', 'sent'],
    ]);
  });

  test('sends each device the version that it ran before, and names those whose version cannot be sent', async () => {
    await addRelease(db.app, '1.5.0');
    await addRelease(db.app, '1.6.0');
    await addDevices(db.app, 1, { prefix: 'old', version: 'v1.5.0' });
    await addDevices(db.app, 1, { prefix: 'revoked', version: '1.6.0' });
    await addDevices(db.app, 1, { prefix: 'cable', version: '1.4.9-dev' });
    const id = await rollOut(1);
    await service.boot('d0', 'old0', 'revoked0', 'cable0');
    await client.revokeRelease('esp32-s3', '1.6.0', 'leaks memory');
    await halt(id);

    const preview = await client.previewRecovery(id);
    expect(preview.by_version).toEqual([
      { firmware_version: '1.0.0', devices: 1, may_run: 0 },
      { firmware_version: '1.5.0', devices: 1, may_run: 0 },
    ]);
    const cannot = [
      { reason: 'no release 1.4.9-dev is registered', devices: 1, device_ids: ['cable0'] },
      { reason: 'release 1.6.0 was revoked: leaks memory', devices: 1, device_ids: ['revoked0'] },
    ];
    expect(preview.cannot).toEqual(expect.arrayContaining(cannot));
    const answer = await recover(id);
    expect(answer).toMatchObject({ devices: 2, cannot: expect.arrayContaining(cannot) });
    expect(await statuses('old0')).toEqual([
      ['2.0.0', 'canceled'],
      ['1.5.0', 'pending'],
    ]);
    // Its proof still counts: nothing better can be sent to it.
    expect(await statuses('cable0')).toEqual([['2.0.0', 'success']]);
  });

  test('is the same when it is repeated, and takes devices that have come to run the release since', async () => {
    const id = await rollOut(2);
    await service.boot('d0');
    await halt(id);
    const first = await recover(id);
    expect(await recover(id)).toMatchObject({
      devices: 0,
      recoveries: [{ rollout_id: first.recoveries[0]?.rollout_id }],
    });
    await service.status('d1', '2.0.0', 10);
    expect(await recover(id)).toMatchObject({ devices: 1 });
    expect((await client.rollouts({})).items).toHaveLength(2);
  });

  test('is refused while the rollout sends, and the rollout cannot go on while it is recovered', async () => {
    const id = await rollOut(1);
    await service.boot('d0');
    expect(await refusal(recover(id))).toMatchObject({
      status: 409,
      detail: expect.stringContaining('it is active. Pause it first'),
    });
    await halt(id);
    await recover(id);
    expect(await refusal(client.act(id, 'resume', 'on with it'))).toMatchObject({
      status: 409,
      detail: expect.stringContaining('its devices are being sent back by rollout "to 2.0.0 (#1) back to 1.0.0"'),
    });
  });

  test('halts its rollout again if SQL resumes that while devices are sent back', async () => {
    const id = await rollOut(2);
    await service.boot('d0');
    await halt(id);
    await recover(id);
    await db.app.query('UPDATE rollout_configurations SET is_active = true, paused_at = NULL WHERE id = :id', { id });
    await service.tick();
    const [rollout] = await db.app.query<{ is_stopped: boolean; reason: string }>(
      'SELECT paused_at IS NOT NULL AS is_stopped, paused_reason AS reason FROM rollout_configurations WHERE id = :id',
      { id },
    );
    expect(rollout).toMatchObject({
      is_stopped: true,
      reason: expect.stringMatching(/^its devices are being sent back by rollout ".*"; abort that first$/),
    });
    const open = 'SELECT 1 FROM device_update_status WHERE rollout_id = :id AND completed_at IS NULL';
    expect(await db.app.query(open, { id })).toEqual([]);
  });

  test('protects its devices: the bad release is not sent to them again when the rollout is retried later', async () => {
    const id = await rollOut(2);
    await service.boot('d0');
    await crash('d0', '2.0.0', 3);
    await halt(id);
    await recover(id);
    await crash('d0', '2.0.0', 1);
    await service.succeed('d0');
    await complete();
    const before = service.sent.length;
    await addDevices(db.app, 1, { prefix: 'new' });
    expect(await client.act(id, 'retry', 'it was the power supply')).toMatchObject({ state: 'active' });
    for (let minute = 0; minute < 5; minute++) {
      service.later(1);
      await service.tick();
      await service.status('d0', '1.0.0', 900);
    }
    expect(service.sent.slice(before)).toMatchObject([{ deviceId: 'new0', version: '2.0.0' }]);
  });

  test('gives way to a rollout that brings a better release', async () => {
    await addRelease(db.app, '2.0.1');
    const id = await rollOut(2);
    await service.boot('d0', 'd1');
    await halt(id);
    await recover(id);
    await service.status('d0', '2.0.0', 5);
    await service.succeed('d0');
    await addRollout(db.app, 'the fix', '2.0.1', { stages: [] });
    await service.tick();
    expect(await statuses('d0')).toContainEqual(['2.0.1', 'sent']);
    expect(await statuses('d1')).toEqual([
      ['2.0.0', 'canceled'],
      ['1.0.0', 'canceled'],
      ['2.0.1', 'sent'],
    ]);
  });

  test('does not send an older version to a device that has left the bad release by itself', async () => {
    const id = await rollOut(1);
    await service.boot('d0');
    await halt(id);
    await recover(id);
    const before = service.sent.length;
    await service.status('d0', '3.0.0', 5);
    expect(service.sent).toHaveLength(before);
    expect((await outcomes('d0')).at(-1)).toMatchObject({ version: '1.0.0', status: 'canceled' });
  });

  test('goes on with its attempts at each contact, though the device restarts during the download', async () => {
    const id = await rollOut(1);
    await service.boot('d0');
    await crash('d0', '2.0.0', 3);
    await halt(id);
    await recover(id);
    const before = service.sent.length;
    for (let contact = 0; contact < 6; contact++) {
      await crash('d0', '2.0.0', 1);
      await (contact % 2 === 0 ? service.fetch('d0') : service.accept('d0'));
    }
    expect(service.sent.length - before).toBe(6);
    await crash('d0', '2.0.0', 1);
    await service.succeed('d0');
    expect(await statuses('d0')).toContainEqual(['1.0.0', 'success']);
  });

  test('sends the command again to a device that restarted before it said anything about it', async () => {
    const id = await rollOut(1);
    await service.boot('d0');
    await crash('d0', '2.0.0', 3);
    await halt(id);
    await recover(id);
    const before = service.sent.length;
    await crash('d0', '2.0.0', 3);
    expect(service.sent.length - before).toBe(3);
  });

  test('is not halted by its own failures', async () => {
    const devices = Array.from({ length: 8 }, (_, n) => `d${n}`);
    const id = await rollOut(8);
    await service.boot(...devices);
    await halt(id);
    await recover(id);
    await service.statuses(devices, '2.0.0', 5);
    await service.fail(...devices.slice(1));
    await service.tick();
    const [recovery] = (await client.previewRecovery(id)).recoveries;
    expect(recovery).toMatchObject({ state: 'active', failed: 7 });
  });

  test.each(['aborted', 'completed'])('takes the devices of a rollout that is %s', async (end) => {
    const id = await rollOut(1);
    await service.succeed('d0');
    if (end === 'aborted')
      await abortRollout(db.app, { rolloutId: id, reason: 'a bad build', by: 'operator' }, service.now);
    service.later(1);
    await service.tick();
    expect(await client.rollout(id)).toMatchObject({ state: end });
    expect(await recover(id)).toMatchObject({ devices: 1 });
  });

  test('is in the history of the rollout, with who decided it, why, and for how many devices', async () => {
    const id = await rollOut(1);
    await service.boot('d0');
    await halt(id);
    const { recoveries } = await recover(id);
    const { items } = await client.decisions(id);
    expect(items.at(-1)).toMatchObject({
      event: 'rollout_recovered',
      reason: WHY,
      decided_by: CALLER,
      detail: { numbers: { devices: 1, rollouts: recoveries.map(({ rollout_id }) => rollout_id) } },
    });
  });
});
