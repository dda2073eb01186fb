import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { explainDevice } from '../../../core/explain/index.ts';
import { evidenceOf, loadRolloutRuntime } from '../../../core/rollouts/index.ts';
import { loadPendingUpdates, reserveSends, storeSendOutcomes } from '../../../core/updates/dispatch-updates.ts';
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

const AT_ONCE = { stages: [] };
const updateOf = async (device: string) => {
  const [row] = await db.app.query('SELECT * FROM device_update_status WHERE device_id = :device', { device });
  return row;
};
const paceOf = async () =>
  (await db.app.query('SELECT in_flight, started_count, finished_count FROM rollout_runtime'))[0];

describe('a command that AWS did not accept', () => {
  test('is pending again after a wait, uses no attempt and holds no slot', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    service.fates.set('d0', 'throttled');
    await service.tick();
    expect(await updateOf('d0')).toMatchObject({ status: 'pending', attempt: 0, sends: 0, unreachable_since: null });
    expect(await paceOf()).toEqual({ in_flight: 0, started_count: 0, finished_count: 0 });
    service.fates.clear();
    service.later(1);
    expect(await service.tick()).toEqual(['d0']);
  });

  test('may have reached the device: its link works, and its reports count', async () => {
    await addDevices(db.app, 1);
    const rollout = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    service.fates.set('d0', 'throttled');
    await service.tick();
    service.sent.push({ deviceId: 'd0', version: '2.0.0', family: 'devices', link: { updateId: 1, attempt: 1 } });
    expect(await service.fetch('d0')).toBe('open');
    expect(await updateOf('d0')).toMatchObject({ status: 'downloading', attempt: 1, rollout_id: rollout });
  });
});

test('a command that AWS denies is sent again and again, uses no attempt and keeps no place from others', async () => {
  await addDevices(db.app, 3);
  const rollout = await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, max_per_minute: 2 });
  for (const device of ['d0', 'd1', 'd2']) service.fates.set(device, 'denied');
  for (let minute = 0; minute < 30; minute++) {
    service.later(1);
    await service.tick();
  }
  for (const device of ['d0', 'd1', 'd2']) {
    expect(await updateOf(device)).toMatchObject({ status: 'pending', attempt: 0, error_message: 'denied' });
  }
  expect(await paceOf()).toEqual({ in_flight: 0, started_count: 0, finished_count: 0 });
  expect(await db.app.query('SELECT * FROM update_attempts')).toEqual([]);
  expect(await explainDevice(db.app, rollout, 'd0', service.now)).toMatchObject({
    rule: 'has a pending update to 2.0.0; last: denied',
    next: expect.stringMatching(/^it is sent again at .*; given up at /),
  });
  service.fates.clear();
  service.later(10);
  expect(await service.tick()).toHaveLength(2);
});

test('a command that AWS refuses fails, and the reason is stored with the attempt', async () => {
  await addDevices(db.app, 1);
  await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
  service.fates.set('d0', 'refused');
  await service.tick();
  expect(await updateOf('d0')).toMatchObject({ status: 'failed', error_message: 'refused' });
  expect(await db.app.query('SELECT send_result, status, reason, ended_at FROM update_attempts')).toEqual([
    { send_result: 'refused', status: 'failed', reason: 'refused', ended_at: service.now },
  ]);
});

test('a device that responds before its command is reported as undeliverable keeps its attempt', async () => {
  await addDevices(db.app, 1);
  const rollout = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
  service.absent.add('d0');
  await service.tick();
  service.absent.clear();
  service.later(61);
  expect(await loadPendingUpdates(db.app, [1], service.now)).toHaveLength(1);
  const planned = { id: 1, family: 'devices', delivery: 'redirect' } as const;
  const [reserved] = await reserveSends(db.app, rollout, [planned], service.now);
  await service.accept('d0');
  const absent = {
    id: 1,
    attempt: reserved?.attempt ?? 0,
    outcome: 'absent' as const,
    message: null,
    retryAt: service.now,
  };
  await storeSendOutcomes(db.app, [absent], service.now);
  expect(await updateOf('d0')).toMatchObject({ status: 'sent', attempt: 1 });
  service.later(16);
  await service.tick();
  expect(await updateOf('d0')).toMatchObject({ status: 'pending', attempt: 1 });
});

describe('a command that a sleeping device missed', () => {
  beforeEach(async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, min_reports: 1 });
    await db.app.query('UPDATE devices SET last_seen = :now::timestamptz', { now: service.now });
  });

  test('stays pending until the device reports, however long that takes, and uses no attempt', async () => {
    service.fates.set('d0', 'unconfirmed');
    await service.tick();
    expect(await updateOf('d0')).toMatchObject({ status: 'sent', attempt: 1 });
    for (let hour = 0; hour < 30; hour++) {
      service.later(60);
      await service.tick();
    }
    expect(service.sends).toBe(1);
    expect(await updateOf('d0')).toMatchObject({
      status: 'pending',
      attempt: 0,
      error_message: 'the device was asleep',
    });
    expect(await paceOf()).toEqual({ in_flight: 0, started_count: 0, finished_count: 0 });
    service.fates.clear();
    await service.status('d0', '1.0.0');
    await service.succeed('d0');
    await service.tick();
    expect(service.sent).toMatchObject([{ family: 'devices', link: { attempt: 1 } }]);
    expect(await updateOf('d0')).toMatchObject({ status: 'success' });
  });

  test('is sent again at once when its device reports before the deadline, at most twenty times', async () => {
    service.fates.set('d0', 'unconfirmed');
    await service.tick();
    for (let minute = 0; minute < 25; minute++) {
      service.later(1);
      await service.status('d0', '1.0.0');
    }
    expect(service.sends).toBe(20);
    service.later(9.5);
    await service.tick();
    expect(await updateOf('d0')).toMatchObject({ status: 'pending', attempt: 1 });
  });

  test('counts as a failure meanwhile if the device had started', async () => {
    await service.tick();
    await service.fetch('d0');
    service.fates.set('d0', 'unconfirmed');
    service.later(16);
    await service.tick();
    service.later(4);
    await service.tick();
    service.later(16);
    await service.tick();
    const rollout = await loadRolloutRuntime(db.app, 1);
    expect(rollout && evidenceOf(rollout, '2.0.0')).toMatchObject({ silent: 1, underWay: 0 });
  });
});

test('a device that is awake a minute after a published command gets the next one on the other topic family', async () => {
  await addDevices(db.app, 1);
  await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
  service.fates.set('d0', 'published');
  await service.tick();
  const family = async () => (await db.app.query('SELECT command_family FROM update_attempts'))[0]?.command_family;
  const families = [await family()];
  for (const minutes of [0.5, 1, 1]) {
    service.later(minutes);
    await service.status('d0', '1.0.0');
    families.push(await family());
  }
  expect(families).toEqual(['devices', 'devices', 'edge', 'devices']);
  expect(await updateOf('d0')).toMatchObject({ status: 'sent', attempt: 1 });
});

test('a device that is awake and acts on none of twenty commands is tried on the other topic family', async () => {
  await addDevices(db.app, 1);
  await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
  service.fates.set('d0', 'unconfirmed');
  await service.tick();
  for (let sends = 1; sends < 20; sends++) {
    service.later(1);
    await service.status('d0', '1.0.0');
  }
  expect(await updateOf('d0')).toMatchObject({ status: 'sent', sends: 20, attempt: 1 });
  service.fates.clear();
  service.later(16);
  await service.tick();
  service.later(5);
  await service.tick();
  expect(service.sent.at(-1)).toMatchObject({ deviceId: 'd0', family: 'edge' });
});

test('a report about a command that seemed missed uses its attempt', async () => {
  await addDevices(db.app, 1);
  await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
  service.fates.set('d0', 'unconfirmed');
  await service.tick();
  service.later(1);
  service.fates.set('d0', 'throttled');
  await service.status('d0', '1.0.0');
  expect(await updateOf('d0')).toMatchObject({ status: 'pending', attempt: 0 });
  await service.result('d0', 2);
  expect(await updateOf('d0')).toMatchObject({
    status: 'pending',
    attempt: 1,
    error_message: expect.stringContaining('code 2'),
  });
  expect(await db.app.query('SELECT attempt, status, reason FROM update_attempts')).toEqual([
    { attempt: 1, status: 'failed', reason: expect.stringContaining('code 2') },
  ]);
});

test('a device whose first report is a failure, and that then goes silent, has started', async () => {
  await addDevices(db.app, 1);
  await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, min_reports: 1 });
  await service.tick();
  await service.result('d0', 2);
  service.absent.add('d0');
  service.later(4);
  await service.tick();
  await service.tick();
  const rollout = await loadRolloutRuntime(db.app, 1);
  expect(rollout && evidenceOf(rollout, '2.0.0')).toMatchObject({ silent: 1, underWay: 0 });
});

test.each([
  ['that was never heard of was not reached', [], 'not_reached'],
  ['that had accepted the command went silent', ['d0'], 'silence'],
])('a device that is given up and %s', async (_, accepting, cause) => {
  await addDevices(db.app, 1);
  await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, give_up_days: 1 });
  await service.tick();
  for (const device of accepting) await service.accept(device);
  service.absent.add('d0');
  for (let hours = 0; hours < 30; hours++) {
    service.later(60);
    await service.tick();
  }
  const updates = await db.app.query('SELECT status, cause FROM device_update_status');
  expect(updates).toEqual([{ status: 'timed_out', cause }]);
});
