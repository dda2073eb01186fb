import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  describeState,
  explainByItsRollout,
  explainDevice,
  NO_RULES,
  previewRollout,
} from '../../../core/explain/index.ts';
import { endHold, listHolds, loadHoldEffect, type NewHold, setHold } from '../../../core/holds/index.ts';
import { assessIdle, hasWork } from '../../../core/orchestrator/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { newRollout } from '../../support/preview.ts';
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
  await addDevices(db.app, 4);
  service = new TestService(db.app, db.roles);
});

const AT_ONCE = { stages: [] };
const ANN = 'arn:aws:iam::1:user/ann';

async function hold(values: Partial<NewHold> = {}): Promise<number> {
  const target = { deviceId: null, groupName: null, endsAt: null, startsAt: null };
  const set = await setHold(db.roles.control, { reason: 'holidays', by: ANN, ...target, ...values }, service.now);
  if (set === undefined) throw new Error('no hold was set');
  return set.id;
}
const holdDevice = (deviceId: string, values: Partial<NewHold> = {}) => hold({ ...values, deviceId });
const remove = (holdId: number) => endHold(db.roles.control, { holdId, reason: 'over', by: ANN }, service.now);
const join = (device: string, group: string) =>
  db.app.query('INSERT INTO device_groups (device_id, group_name) VALUES (:device, :group)', { device, group });

const updateOf = async (device: string) => {
  const [row] = await db.app.query(
    'SELECT status, attempt, completed_at IS NULL AS is_open FROM device_update_status WHERE device_id = :device',
    { device },
  );
  return row;
};
const stateOf = async (id: number) =>
  (await db.app.query<{ state: string }>('SELECT state FROM rollout_overview WHERE rollout_id = :id', { id }))[0]
    ?.state;

describe('a device that is held', () => {
  test('is neither assigned nor sent a command, and its rollout waits for it', async () => {
    const id = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    const held = await holdDevice('d0');
    expect((await service.tick()).sort()).toEqual(['d1', 'd2', 'd3']);
    expect(await updateOf('d0')).toBeUndefined();
    for (const device of ['d1', 'd2', 'd3']) await service.succeed(device);
    service.later(60);
    await service.tick();
    expect(await stateOf(id)).toBe('active');
    expect(await remove(held)).toBe(true);
    expect(await service.tick()).toEqual(['d0']);
    await service.succeed('d0');
    service.later(10);
    await service.tick();
    expect(await stateOf(id)).toBe('completed');
  });

  test('keeps a pending update that was assigned before, which waits and does not fail', async () => {
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, give_up_days: 1 });
    service.absent.add('d0');
    await service.tick();
    service.absent.clear();
    const held = await holdDevice('d0');
    await service.status('d0', '1.0.0');
    for (let day = 0; day < 4; day++) {
      for (let part = 0; part < 4; part++) {
        service.later(360);
        await service.tick();
      }
      await service.status('d0', '1.0.0');
    }
    expect(service.sent.filter(({ deviceId }) => deviceId === 'd0')).toEqual([]);
    expect(await updateOf('d0')).toEqual({ status: 'pending', attempt: 0, is_open: true });
    await remove(held);
    await service.status('d0', '1.0.0');
    expect(service.sent.filter(({ deviceId }) => deviceId === 'd0')).toHaveLength(1);
  });

  test('goes on with an update that it has accepted, which is evaluated as usual', async () => {
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    await service.accept('d0');
    await holdDevice('d0');
    expect(await service.fetch('d0')).toBe('open');
    await service.result('d0', 0);
    await service.status('d0', '2.0.0');
    service.later(6);
    await service.status('d0', '2.0.0', 390);
    expect(await updateOf('d0')).toMatchObject({ status: 'success', is_open: false });
  });

  test('is not sent a retry before the hold has ended', async () => {
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, failure_threshold: 1 });
    await service.tick();
    await holdDevice('d0');
    await service.result('d0', 2);
    service.later(10);
    await service.status('d0', '1.0.0', 100_000);
    await service.tick();
    expect(service.sent.filter(({ deviceId }) => deviceId === 'd0')).toHaveLength(1);
    expect(await updateOf('d0')).toMatchObject({ status: 'pending', attempt: 1 });
  });

  test('does not keep others from being picked for what the limits allow', async () => {
    await addDevices(db.app, 50, { prefix: 'e' });
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, max_in_flight: 1 });
    const [first = ''] = await service.tick();
    const last = first === 'e49' ? 'e48' : 'e49';
    await db.app.query(
      `INSERT INTO device_groups (device_id, group_name) SELECT device_id, 'most' FROM devices WHERE device_id <> :last`,
      { last },
    );
    await hold({ groupName: 'most' });
    await service.fail(first);
    service.later(2);
    expect(await service.tick()).toEqual([last]);
  });

  test('is explained by the hold, before its assignment and after', async () => {
    const id = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    service.absent.add('d1');
    await holdDevice('d0', { endsAt: new Date('2026-03-05T00:00:00Z') });
    await service.tick();
    const text = `is held until 2026-03-05T00:00:00.000Z: holidays (set by ${ANN} at 2026-03-02T12:00:00.000Z)`;
    expect(await explainDevice(db.app, id, 'd0', service.now)).toEqual({
      rule: text,
      since: service.now,
      next: expect.stringMatching(/^it may be updated when hold \d+ ends, at 2026-03-05T00:00:00.000Z, or is removed$/),
    });
    await hold();
    expect(await explainDevice(db.app, id, 'd1', service.now)).toMatchObject({
      rule: `has a pending update to 2.0.0 and is held with the whole service: holidays (set by ${ANN} at 2026-03-02T12:00:00.000Z)`,
      next: expect.stringMatching(/^it is sent when hold \d+ is removed$/),
    });
  });

  test('is counted by the preview among those that are updated, with the hold that it waits for', async () => {
    await join('d1', 'lab');
    await join('d2', 'lab');
    await holdDevice('d0');
    await hold({ groupName: 'lab' });
    expect(await previewRollout(db.app, newRollout(), NO_RULES)).toMatchObject({
      willBeUpdated: 4,
      held: [
        { devices: 2, reason: expect.stringContaining('group lab is held') },
        { devices: 1, reason: expect.stringContaining('d0 is held') },
      ],
    });
  });

  test('has its hold in its history, with the operator and the reason', async () => {
    const held = await holdDevice('d0');
    await remove(held);
    expect(
      await db.app.query(`SELECT event, detail ->> 'by' AS by, detail ->> 'reason' AS reason FROM device_timeline
        WHERE device_id = 'd0' ORDER BY event`),
    ).toEqual([
      { event: 'device_held', by: ANN, reason: 'holidays' },
      { event: 'device_hold_ended', by: ANN, reason: 'over' },
    ]);
  });

  test('is taken over by a better rollout, so that the end of the hold sends nothing outdated', async () => {
    await addRelease(db.app, '3.0.0');
    await addRollout(db.app, 'old', '2.0.0', AT_ONCE);
    service.absent.add('d0');
    await service.tick();
    service.absent.clear();
    const held = await hold();
    await addRollout(db.app, 'new', '3.0.0', AT_ONCE);
    await service.tick();
    await remove(held);
    await service.status('d0', '1.0.0');
    expect(service.sent.filter(({ deviceId }) => deviceId === 'd0')).toEqual([]);
    await service.tick();
    expect(service.sent.filter(({ deviceId }) => deviceId === 'd0').map(({ version }) => version)).toEqual(['3.0.0']);
  });
});

test('each explanation of a held device states all of its holds', async () => {
  const id = await addRollout(db.app, 'started', '2.0.0', AT_ONCE);
  const draft = await addRollout(db.app, 'draft', '2.0.0', { is_active: false });
  await holdDevice('d0', { endsAt: new Date('2027-04-01T00:00:00Z'), reason: 'repair' });
  await hold();
  await service.tick();
  const holds =
    /is held with the whole service: holidays \(set by .*, and is held until 2027-04-01T00:00:00.000Z: repair \(set by/;
  const next =
    'it may be updated when hold 2 is removed, and when hold 1 ends, at 2027-04-01T00:00:00.000Z, or is removed';
  const explained = await explainByItsRollout(db.app, 'd0', null, service.now);
  expect(explained).toMatchObject({ rolloutId: id, rule: expect.stringMatching(holds), next });
  expect((await explainDevice(db.app, draft, 'd0', service.now))?.rule).toMatch(
    new RegExp(`^the rollout is not active; the device ${holds.source}`),
  );
});

describe('a group that is held', () => {
  test('is named in the state of a rollout that waits for nothing else', async () => {
    const id = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await join('d0', 'lab');
    const endsAt = new Date('2027-04-01T00:00:00Z');
    await hold({ groupName: 'lab', endsAt });
    for (const device of await service.tick()) await service.succeed(device);
    service.later(10);
    await service.tick();
    const held = '1 device is held: group lab is held until 2027-04-01T00:00:00.000Z: holidays (set by';
    const state = () => describeState(db.app, id, service.now);
    expect(await state()).toContain(`waiting for the end of a hold; ${held}`);
    await holdDevice('d0');
    await service.tick();
    expect(await state()).toMatch(/; 1 device is held: .*\), and by 1 more hold$/);
  });

  test('holds the devices that are in it now, those that join later too', async () => {
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await join('d0', 'lab');
    await hold({ groupName: 'lab' });
    await join('d1', 'lab');
    expect((await service.tick()).sort()).toEqual(['d2', 'd3']);
    await db.app.query(`DELETE FROM device_groups WHERE device_id = 'd1'`);
    expect(await service.tick()).toEqual(['d1']);
  });

  test('appears in the history of its devices and of the active rollouts that it holds up', async () => {
    const id = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await addRollout(db.app, 'other', '2.0.0', { ...AT_ONCE, device_model: 'esp32-c3' });
    await addRollout(db.app, 'others', '2.0.0', { ...AT_ONCE, target_filter: { device_ids: ['d1'] } });
    await join('d0', 'lab');
    const held = await hold({ groupName: 'lab' });
    await service.tick();
    await service.tick();
    expect(await db.app.query(`SELECT device_id FROM ota_events WHERE event_type = 'device_held'`)).toEqual([
      { device_id: 'd0' },
    ]);
    expect(
      await db.app.query(
        `SELECT rollout_id, event, reason, decided_by FROM rollout_timeline WHERE event = 'rollout_held'`,
      ),
    ).toEqual([{ rollout_id: id, event: 'rollout_held', reason: 'holidays', decided_by: ANN }]);
    await remove(held);
    expect(await db.app.query(`SELECT rollout_id FROM rollout_timeline WHERE event = 'rollout_hold_ended'`)).toEqual([
      { rollout_id: id },
    ]);
  });

  test('is recorded for a rollout that starts while its devices are held, not for one whose devices are done', async () => {
    await addRollout(db.app, 'done', '2.0.0', { ...AT_ONCE, keep_open: true });
    await join('d0', 'lab');
    for (const device of await service.tick()) await service.succeed(device);
    await addRelease(db.app, '3.0.0');
    await hold({ groupName: 'lab' });
    await service.tick();
    const later = await addRollout(db.app, 'later', '3.0.0', AT_ONCE);
    await service.tick();
    expect(await db.app.query(`SELECT rollout_id FROM rollout_timeline WHERE event = 'rollout_held'`)).toEqual([
      { rollout_id: later },
    ]);
  });
});

describe('a hold of the whole service', () => {
  test('stops everything that sends, and no stage begins', async () => {
    const id = await addRollout(db.app, 'r', '2.0.0', {
      stages: [{ percentage: 25, soak_minutes: 0, min_success_rate: 1, min_reports: 1 }, { percentage: 100 }],
    });
    const [first = ''] = await service.tick();
    const held = await hold();
    await service.succeed(first);
    for (let hour = 0; hour < 50; hour++) {
      service.later(60);
      await service.tick();
    }
    expect(service.sent).toHaveLength(1);
    expect(await db.app.query('SELECT stage FROM rollout_stages WHERE rollout_id = :id', { id })).toEqual([
      { stage: 0 },
    ]);
    await remove(held);
    expect(await service.tick()).toHaveLength(3);
  });

  test('does not replace the devices of a stage that it kept from their update', async () => {
    const id = await addRollout(db.app, 'r', '2.0.0', {
      stages: [{ count: 1, soak_minutes: 0, min_reports: 1 }, { percentage: 100 }],
    });
    const held = await hold();
    for (let hour = 0; hour < 50; hour++) {
      service.later(60);
      await service.tick();
    }
    await remove(held);
    expect(await service.tick()).toHaveLength(1);
    expect(await db.app.query('SELECT extended_at FROM rollout_stages WHERE rollout_id = :id', { id })).toEqual([
      { extended_at: null },
    ]);
  });

  test('lets a gate halt a rollout', async () => {
    const id = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    await hold();
    for (const device of ['d0', 'd1', 'd2']) {
      await service.fetch(device);
      await service.result(device, 3);
    }
    await service.tick();
    expect(await stateOf(id)).toBe('halted');
  });

  test('ends at its end time by itself, which the orchestrator has work for', async () => {
    await hold({ endsAt: new Date(service.now.getTime() + 3_600_000) });
    await service.tick();
    await db.app.query(`INSERT INTO leases (name, holder, expires_at) VALUES ('housekeeping', 'x', '2030-01-01')
      ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at`);
    expect(await hasWork(db.app, service.now)).toBe(false);
    service.later(61);
    expect(await hasWork(db.app, service.now)).toBe(true);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    expect(await service.tick()).toHaveLength(4);
    expect(await listHolds(db.app, { state: 'ended' })).toMatchObject([
      { scope: 'service', ended_by: 'orchestrator', ended_reason: 'its end time has passed' },
    ]);
  });

  test('says in numbers what it stops and what goes on', async () => {
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    service.absent.add('d0');
    await service.tick();
    expect(await loadHoldEffect(db.app, { deviceId: null, groupName: null })).toEqual({
      devices: 4,
      already_held: 0,
      waiting: 1,
      under_way: 3,
      rollouts: 1,
    });
    await holdDevice('d0');
    expect(await listHolds(db.app)).toMatchObject([{ devices: 1, waiting: 1 }]);
  });
});

test('a hold that is set again by the same operator is the one that is in force', async () => {
  const first = await hold();
  expect(await hold()).toBe(first);
  expect(await hold({ reason: 'another' })).not.toBe(first);
});

test('the whole service can be held although no more devices can', async () => {
  await db.app.query(
    `INSERT INTO holds (scope, device_id, reason) SELECT 'device', 'd0', 'test' FROM generate_series(1, 500)`,
  );
  await expect(holdDevice('d1')).rejects.toThrow('no hold was set');
  await hold();
  await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
  expect(await service.tick()).toEqual([]);
});

test('a hold that SQL sets and deletes is respected', async () => {
  await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
  await db.app.query(`INSERT INTO holds (scope, reason) VALUES ('service', 'by hand')`);
  expect(await service.tick()).toEqual([]);
  await db.owner.query('DELETE FROM holds');
  expect(await service.tick()).toHaveLength(4);
});

describe('a hold with a start time', () => {
  const inMinutes = (minutes: number) => new Date(service.now.getTime() + minutes * 60_000);
  const eventsOfHolds = () =>
    db.app.query(`SELECT event_type AS event, device_id, received_at FROM ota_events
      WHERE event_type IN ('device_held', 'device_hold_ended') ORDER BY id`);

  test('holds nothing before that time, and its devices from then on', async () => {
    const id = await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, target_filter: { device_ids: ['d0'] } });
    await join('d0', 'lab');
    await join('d1', 'lab');
    const held = await hold({ groupName: 'lab', startsAt: inMinutes(60), endsAt: inMinutes(600) });
    expect(await listHolds(db.app)).toEqual([]);
    expect(await listHolds(db.app, { state: 'planned' })).toMatchObject([
      { hold_id: held, began_at: null, devices: 2 },
    ]);
    expect(await service.tick()).toEqual(['d0']);
    expect(await eventsOfHolds()).toEqual([]);
    service.later(61);
    expect(await hasWork(db.app, service.now)).toBe(true);
    await service.tick();
    expect(await listHolds(db.app)).toMatchObject([{ hold_id: held, began_at: service.now }]);
    expect(await eventsOfHolds()).toEqual(
      ['d0', 'd1'].map((device_id) => ({ event: 'device_held', device_id, received_at: service.now })),
    );
    await db.app.query(`UPDATE rollout_configurations SET target_filter = '{}' WHERE id = :id`, { id });
    expect((await service.tick()).sort()).toEqual(['d2', 'd3']);
  });

  test('is not in the history of any device if it is removed before it begins', async () => {
    await join('d0', 'lab');
    const held = await hold({ groupName: 'lab', startsAt: inMinutes(60) });
    expect(await remove(held)).toBe(true);
    service.later(61);
    await service.tick();
    expect(await listHolds(db.app, { state: 'ended' })).toMatchObject([{ hold_id: held, began_at: null }]);
    expect(await eventsOfHolds()).toEqual([]);
  });

  test('never begins if its end time has passed, too, when the orchestrator runs again', async () => {
    await hold({ startsAt: inMinutes(10), endsAt: inMinutes(20) });
    service.later(30);
    await service.tick();
    expect(await listHolds(db.app, { state: 'ended' })).toMatchObject([
      { began_at: null, ended_reason: 'its end time has passed' },
    ]);
  });

  test('ends the idle mode when its time has come', async () => {
    const startsAt = inMinutes(90);
    await hold({ startsAt });
    expect((await assessIdle(db.app, service.now)).dueAt).toEqual(startsAt);
  });
});
