import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { RolloutRows } from '../../support/rollout-rows.ts';
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
  service = new TestService(db.app);
});

const AT_ONCE = { stages: [] };
const { rolloutOf, updateOf, countByStatus, eventTypes } = new RolloutRows(() => db.app);

describe('stages', () => {
  const STAGES = [{ percentage: 10, soak_minutes: 30 }, { percentage: 50 }];

  test('advance automatically to the last, each after its gate was met for its soak time', async () => {
    await addDevices(db.app, 20);
    await addRollout(db.app, 'r', '2.0.0', { stages: STAGES });
    const first = await service.tick();
    expect(first).toHaveLength(2);
    await service.succeed(...first);
    expect(await service.tick()).toEqual([]);
    service.later(29);
    expect(await service.tick()).toEqual([]);
    service.later(1);
    const second = await service.tick();
    expect(second).toHaveLength(8);
    await service.succeed(...second);
    await service.tick();
    const rest = await service.tick();
    expect(rest.length + service.sent.length - 10).toBeGreaterThanOrEqual(10);
    await service.succeed(...service.sent.slice(10).map(({ deviceId }) => deviceId));
    await service.tick();
    await service.tick();
    expect((await rolloutOf('r'))?.completed_at).not.toBeNull();
    expect(await countByStatus()).toEqual({ success: 20 });
    expect(await eventTypes()).toEqual([
      'rollout_started',
      'rollout_stage_began',
      'rollout_stage_began',
      'rollout_completed',
    ]);
  });

  test('need outcomes only of the devices that they add and that are not on the target yet', async () => {
    await addDevices(db.app, 6);
    await addRollout(db.app, 'r', '2.0.0', { stages: [{ count: 1 }, { count: 3 }, { count: 5 }] });
    const [first] = await service.tick();
    await service.succeed(first ?? '');
    const [, other] = [...(await service.tick())];
    await service.tick();
    const second = service.sent.slice(1).map(({ deviceId }) => deviceId);
    expect(second).toHaveLength(2);
    expect(second).toContain(other);
    // A member of the third stage is flashed by cable.
    const third = await db.app.query<{ device_id: string }>(
      `SELECT device_id FROM devices ORDER BY md5((SELECT id FROM rollout_configurations) || ':' || device_id) OFFSET 3 LIMIT 1`,
    );
    await service.status(third[0]?.device_id ?? '', '2.0.0');
    await service.succeed(...second);
    for (let ticks = 0; ticks < 3; ticks++) await service.tick();
    expect(service.sent).toHaveLength(4);
    await service.succeed(...service.sent.slice(3).map(({ deviceId }) => deviceId));
    for (let ticks = 0; ticks < 3; ticks++) await service.tick();
    expect(service.sent).toHaveLength(5);
  });

  test('reach devices that join later by their hash, and keep the devices already reached', async () => {
    await addDevices(db.app, 20);
    await addRollout(db.app, 'r', '2.0.0', { stages: STAGES });
    const first = await service.tick();
    await addDevices(db.app, 200, { prefix: 'late' });
    const joined = await service.tick();
    expect(joined.length).toBeGreaterThan(5);
    expect(joined.length).toBeLessThan(50);
    expect(joined.some((device) => first.includes(device))).toBe(false);
  });

  test('of a rollout without settings start with one device of twenty', async () => {
    await addDevices(db.app, 20);
    await addRollout(db.app, 'r', '2.0.0');
    expect(await service.tick()).toHaveLength(1);
    expect(await service.tick()).toHaveLength(0);
  });

  test('of a slow start give no place in a wave to a device out of reach', async () => {
    await addDevices(db.app, 3);
    for (const device of ['d0', 'd1']) service.absent.add(device);
    await addRollout(db.app, 'r', '2.0.0');
    for (let n = 0; n < 3; n++) await service.tick();
    expect(service.sent.map(({ deviceId }) => deviceId)).toEqual(['d2']);
  });
});

describe('versions', () => {
  test('a stepping stone comes first if the device is below the minimum version', async () => {
    await addRelease(db.app, '3.0.0', { minVersion: '2.0.0' });
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '3.0.0', AT_ONCE);
    await service.tick();
    await service.succeed('d0');
    await service.tick();
    await service.succeed('d0');
    await service.tick();
    await service.tick();
    expect(service.sent.map(({ version }) => version)).toEqual(['2.0.0', '3.0.0']);
    expect((await rolloutOf('r'))?.completed_at).not.toBeNull();
  });

  test('an image that embeds another version halts the rollout', async () => {
    await addDevices(db.app, 3);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    for (const device of ['d0', 'd1']) {
      await service.fetch(device);
      await service.result(device, 0);
    }
    service.later(1);
    for (const device of ['d0', 'd1']) await service.status(device, '2.0.0-rc1');
    await service.tick();
    expect((await rolloutOf('r'))?.paused_reason).toBe(
      'the image embeds version 2.0.0-rc1: 2 devices installed it and report that version',
    );
  });
});

describe('two rollouts', () => {
  beforeEach(() => addRelease(db.app, '3.0.0'));

  test('the newer one takes over what the older one has not sent', async () => {
    await addDevices(db.app, 6);
    for (let n = 1; n < 6; n++) service.absent.add(`d${n}`);
    await addRollout(db.app, 'older', '2.0.0', AT_ONCE);
    await service.tick();
    service.absent.clear();
    await addRollout(db.app, 'newer', '3.0.0', AT_ONCE);
    expect(await service.tick()).toEqual(['d1', 'd2', 'd3', 'd4', 'd5']);
    expect(service.sent.map(({ version }) => version)).toEqual(['2.0.0', '3.0.0', '3.0.0', '3.0.0', '3.0.0', '3.0.0']);
    await service.succeed('d0');
    await service.tick();
    expect(service.sent.at(-1)).toMatchObject({ deviceId: 'd0', version: '3.0.0' });
  });

  test('the one with the higher priority gets the devices, whatever their ages', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'older', '3.0.0', { ...AT_ONCE, priority: 5 });
    await addRollout(db.app, 'newer', '2.0.0', { ...AT_ONCE, allow_downgrade: true });
    await service.tick();
    expect(service.sent).toMatchObject([{ version: '3.0.0' }]);
  });

  test('a device does not alternate between the two', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'older', '2.0.0', { ...AT_ONCE, allow_downgrade: true, keep_open: true });
    await addRollout(db.app, 'newer', '3.0.0', { ...AT_ONCE, allow_downgrade: true, keep_open: true });
    for (let n = 0; n < 5; n++) {
      await service.tick();
      if (service.sent.length > n) await service.succeed('d0');
    }
    expect(service.sent.map(({ version }) => version)).toEqual(['3.0.0']);
  });

  test('a rollout does not complete while another one has an open update of its devices', async () => {
    await addDevices(db.app, 2);
    await addRollout(db.app, 'first', '2.0.0', {
      ...AT_ONCE,
      target_type: 'specific',
      target_filter: { device_ids: ['d0'] },
    });
    await service.tick();
    await addRollout(db.app, 'second', '3.0.0', AT_ONCE);
    await service.tick();
    await service.succeed('d1');
    await service.tick();
    await service.tick();
    expect((await rolloutOf('second'))?.completed_at).toBeNull();
  });
});

describe('the end', () => {
  test('no device joins a completed rollout, unless it is kept open', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    await service.succeed('d0');
    await service.tick();
    await service.tick();
    expect((await rolloutOf('r'))?.completed_at).not.toBeNull();
    await addRollout(db.app, 'open', '2.0.0', { ...AT_ONCE, keep_open: true });
    await service.tick();
    await addDevices(db.app, 1, { prefix: 'late' });
    expect(await service.tick()).toEqual(['late0']);
    expect((await rolloutOf('open'))?.completed_at).toBeNull();
  });

  test('a device that could never be reached does not count as a failure', async () => {
    await addDevices(db.app, 1);
    service.absent.add('d0');
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, min_reports: 1 });
    await service.tick();
    service.later(31 * 24 * 60);
    for (let n = 0; n < 3; n++) await service.tick();
    expect(await updateOf('d0')).toMatchObject({ status: 'timed_out' });
    expect(await rolloutOf('r')).toMatchObject({ paused_reason: null, completed_at: expect.any(Date) });
  });
});
