import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { explainDevice } from '../../../core/explain/index.ts';
import { evidenceOf, listFailures, loadRolloutRuntime } from '../../../core/rollouts/index.ts';
import { recountSlots } from '../../../core/updates/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  service = new TestService(db.app, db.roles);
});

const AT_ONCE = { stages: [], keep_open: true };
const evidence = async (version = '2.0.0') => {
  const rollout = await loadRolloutRuntime(db.app, 1);
  if (rollout === undefined) throw new Error('no rollout 1');
  return evidenceOf(rollout, version);
};
const updateOf = async (device: string) =>
  (
    await db.app.query('SELECT * FROM device_update_status WHERE device_id = :device ORDER BY id DESC LIMIT 1', {
      device,
    })
  )[0];
/** Delivers a status that was received earlier than it is processed. */
async function deliverLate(device: string, version: string, uptime: number, minutesAgo: number): Promise<void> {
  service.later(-minutesAgo);
  await service.status(device, version, uptime);
  service.later(minutesAgo);
}

describe('a rollback that waits in a queue while the update ends', () => {
  beforeEach(async () => {
    await addDevices(db.app, 3);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    await service.succeed('d0', 'd1', 'd2');
  });

  test('replaces the success, because it was received before', async () => {
    expect(await updateOf('d0')).toMatchObject({ status: 'success', completed_at: service.now });
    await deliverLate('d0', '1.0.0', 5, 3);
    expect(await updateOf('d0')).toMatchObject({ status: 'rolled_back', cause: 'build' });
    expect(await evidence()).toMatchObject({ proven: 2, failed: 1 });
  });

  test('halts the rollout if enough devices rolled back', async () => {
    await deliverLate('d0', '1.0.0', 5, 3);
    await deliverLate('d1', '1.0.0', 5, 3);
    await service.tick();
    const [rollout] = await db.app.query('SELECT paused_reason FROM rollout_configurations');
    expect(rollout).toEqual({ paused_reason: '2 of 3 devices failed; the rollout allows 10%' });
  });

  test('changes nothing if it was received after the proof of a later boot', async () => {
    await service.tick();
    expect(await updateOf('d0')).toMatchObject({ status: 'success', late_rollback_at: null });
  });
});

describe('a device that leaves a version after it has proven it', () => {
  beforeEach(async () => {
    await addDevices(db.app, 2);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    await service.succeed('d0', 'd1');
    service.later(600);
    await service.status('d0', '1.0.0', 20);
  });

  test('is a late rollback, and counts as a failure of the release', async () => {
    expect(await updateOf('d0')).toMatchObject({ status: 'success', late_rollback_at: service.now });
    expect(await updateOf('d1')).toMatchObject({ status: 'success', late_rollback_at: null });
    expect(await evidence()).toMatchObject({ proven: 1, failed: 1 });
  });

  test('is explained by what it reports now', async () => {
    expect((await explainDevice(db.app, 1, 'd0', service.now))?.rule).toMatch(/^proved 2\.0\.0 at .* a late rollback$/);
  });

  test('has the late rollback in its timeline', async () => {
    const rows = await db.app.query(
      `SELECT event FROM device_timeline WHERE device_id = 'd0' ORDER BY at DESC LIMIT 1`,
    );
    expect(rows).toEqual([{ event: 'late_rollback' }]);
  });
});

test('a device that went silent on probation is taken back when it returns on the new version', async () => {
  await addDevices(db.app, 2);
  await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
  await service.tick();
  await service.boot('d0', 'd1');
  service.later(48 * 60 + 10);
  await service.tick();
  expect(await updateOf('d0')).toMatchObject({ status: 'timed_out', cause: 'silence' });
  expect(await evidence()).toMatchObject({ silent: 2 });
  await service.status('d0', '2.0.0', 200_000);
  expect(await updateOf('d0')).toMatchObject({ status: 'timed_out', late_success_at: service.now });
  expect((await listFailures(db.app, 1)).map(({ status }) => status).sort()).toEqual(['late_success', 'timed_out']);
  expect(await evidence()).toMatchObject({ silent: 1, failed: 0 });
});

test('a crash loop that reports the new version again is not a late success', async () => {
  await addDevices(db.app, 1);
  await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
  await service.tick();
  await service.boot('d0');
  for (let restarts = 0; restarts < 4; restarts++) {
    service.later(1);
    await service.status('d0', '2.0.0', 3);
  }
  expect(await updateOf('d0')).toMatchObject({ status: 'failed', cause: 'build', late_success_at: null });
  service.later(60);
  await service.status('d0', '2.0.0', 3);
  expect(await updateOf('d0')).toMatchObject({ status: 'failed', late_success_at: null });
});

test('a device that declines is asked again, and uses no attempt', async () => {
  await addDevices(db.app, 1);
  await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, max_attempts: 1 });
  await service.tick();
  for (const wait of [5, 10, 20]) {
    await service.result('d0', 10);
    expect(await updateOf('d0')).toMatchObject({
      status: 'pending',
      error_message: 'the device declined: code 10',
      not_before: new Date(service.now.getTime() + wait * 60_000),
    });
    service.later(wait);
    expect(await service.tick()).toEqual(['d0']);
  }
  await service.succeed('d0');
  expect(await updateOf('d0')).toMatchObject({ status: 'success', declined_count: 3 });
});

test('a rollout whose version is changed while it runs starts over at its first stage', async () => {
  await addRelease(db.app, '2.1.0');
  await addDevices(db.app, 20);
  await addRollout(db.app, 'r', '2.0.0', { stages: [{ count: 2 }] });
  await service.succeed(...(await service.tick()));
  await db.app.query(`UPDATE rollout_configurations SET firmware_version = '2.1.0'`);
  const devices = await service.tick();
  expect(devices).toHaveLength(2);
  expect(service.sent.slice(-2).map(({ version }) => version)).toEqual(['2.1.0', '2.1.0']);
  expect(await evidence('2.1.0')).toMatchObject({ proven: 0, underWay: 2 });
  const [event] = await db.app.query(`SELECT payload FROM ota_events WHERE event_type = 'rollout_restarted'`);
  expect(event).toMatchObject({ payload: { reason: 'its version was changed' } });
});

test('slots of a device that was deleted in flight are counted again', async () => {
  await addDevices(db.app, 3);
  await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, max_in_flight: 1 });
  const [first = ''] = await service.tick();
  await db.app.query('DELETE FROM devices WHERE device_id = :first', { first });
  expect(await service.tick()).toEqual([]);
  expect(await recountSlots(db.app)).toBe(1);
  expect(await recountSlots(db.app)).toBe(0);
  expect(await service.tick()).toHaveLength(1);
});

test('a repair of the slots by SQL makes no tick and no batch fail', async () => {
  await addDevices(db.app, 2);
  await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
  await service.tick();
  await db.app.query('UPDATE rollout_runtime SET in_flight = 0');
  await service.succeed('d0', 'd1');
  await service.tick();
  expect(await updateOf('d0')).toMatchObject({ status: 'success' });
});
