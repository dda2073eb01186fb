import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { Sql } from '../../../core/db/index.ts';
import { loadHealthEvidence, loadRolloutRuntime, resumeRollout } from '../../../core/rollouts/index.ts';
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

/** Five devices first, and two hours until the others. */
const STAGES = [{ count: 5, soak_minutes: 120 }];

/** @param habit of each device before the rollout, and the seconds between two of its statuses */
async function addFleet(
  count: number,
  habit: { restarts: number; hours: number; interval: number; uptime: number | null },
) {
  await addDevices(db.app, count);
  await db.app.query(
    `UPDATE devices SET last_seen = :now::timestamptz, restarts = :restarts, observed_seconds = 3600 * :hours::integer,
       report_interval_seconds = :interval, uptime_seconds = :uptime::bigint`,
    { now: service.now, ...habit },
  );
}
const stateOf = async (name: string) => {
  const [row] = await db.app.query<{ state: string; paused_reason: string | null }>(
    'SELECT state, paused_reason FROM rollout_overview WHERE name = :name',
    { name },
  );
  return row;
};

/**
 * The devices that were sent the release report for so many minutes; the clock moves by `every` seconds.
 * @param uptime of a status, by the seconds since the boot of the new version
 */
async function report(
  minutes: number,
  every: number,
  uptime: (seconds: number) => number | null,
  ticks = true,
): Promise<void> {
  const devices = service.sent.map(({ deviceId }) => deviceId);
  for (let seconds = every; seconds <= minutes * 60; seconds += every) {
    service.now = new Date(service.now.getTime() + every * 1000);
    await service.statuses(devices, '2.0.0', uptime(seconds));
    if (ticks) await service.tick();
    if (ticks && (await stateOf('r'))?.state === 'halted') return;
  }
}

const ALWAYS_ON = { restarts: 1, hours: 168, interval: 60, uptime: 500_000 };

describe('a build that restarts, and proves its probation on each device,', () => {
  test('is halted by its rate of restarts, with both rates and exposures', async () => {
    await addFleet(20, ALWAYS_ON);
    const id = await addRollout(db.app, 'r', '2.0.0', { stages: STAGES });
    await service.tick();
    await service.boot(...service.sent.map(({ deviceId }) => deviceId));
    await report(60, 60, (seconds) => (seconds % 240) + 3);
    expect(await stateOf('r')).toEqual({
      state: 'halted',
      paused_reason:
        'devices on 2.0.0 restart 15 times per hour (1 device-hours of 5 devices), and 0.006 times before (840 device-hours); the rollout allows 2 times as often and one restart a day',
    });
    const [proven] = await db.app.query<{ n: number }>(
      `SELECT count(*)::integer AS n FROM device_update_status WHERE status = 'success' AND completed_at IS NOT NULL`,
    );
    expect(proven?.n).toBe(5);
    expect(service.sent).toHaveLength(5);

    await resumeRollout(db.app, { rolloutId: id, reason: 'the site had no power', by: 'an operator' }, service.now);
    await service.tick();
    expect(await stateOf('r')).toMatchObject({ state: 'active' });
  });

  test('is halted on devices whose statuses have no uptime', async () => {
    await addFleet(20, { ...ALWAYS_ON, uptime: null });
    await addRollout(db.app, 'r', '2.0.0', { stages: STAGES });
    await service.tick();
    const devices = service.sent.map(({ deviceId }) => deviceId);
    for (const device of devices) {
      await service.fetch(device);
      await service.result(device, 0);
    }
    service.later(1);
    await service.statuses(devices, '2.0.0', null);
    // A status at the boot and one after a minute, and then a crash.
    for (let crashes = 0; crashes < 20; crashes++) {
      await report(1, 60, () => null, false);
      await report(20 / 60, 20, () => null, false);
    }
    await service.tick();
    // A build may report more often for a while.
    expect(await stateOf('r')).toMatchObject({ state: 'active' });
    for (let crashes = 0; crashes < 10; crashes++) {
      await report(1, 60, () => null, false);
      await report(20 / 60, 20, () => null, crashes > 4);
    }
    expect(await stateOf('r')).toMatchObject({
      state: 'halted',
      paused_reason: expect.stringMatching(/^devices on 2\.0\.0 restart \d+ times per hour /),
    });
  });

  test('is not halted if the rollout has no such limit', async () => {
    await addFleet(20, ALWAYS_ON);
    await addRollout(db.app, 'r', '2.0.0', { stages: STAGES, max_restart_ratio: null });
    await service.tick();
    await service.boot(...service.sent.map(({ deviceId }) => deviceId));
    await report(30, 60, (seconds) => (seconds % 240) + 3);
    expect(await stateOf('r')).toMatchObject({ state: 'active' });
  });
});

describe('a good build is not halted', () => {
  test('on deep sleepers, which restart at each wake as they did before', async () => {
    await addFleet(20, { restarts: 600, hours: 100, interval: 600, uptime: 5 });
    await addRollout(db.app, 'r', '2.0.0', { stages: STAGES });
    await service.tick();
    await service.boot(...service.sent.map(({ deviceId }) => deviceId));
    await report(240, 600, () => 5);
    expect(await stateOf('r')).toMatchObject({ state: 'completed' });
    expect(new Set(service.sent.map(({ deviceId }) => deviceId)).size).toBe(20);
  });

  test('on deep sleepers that passed a stepping stone minutes before', async () => {
    await db.empty();
    await addRelease(db.app, '1.5.0');
    await addRelease(db.app, '2.0.0', { minVersion: '1.5.0' });
    await addFleet(20, { restarts: 600, hours: 100, interval: 600, uptime: 5 });
    await addRollout(db.app, 'r', '2.0.0', { stages: STAGES });
    await service.tick();
    const devices = service.sent.map(({ deviceId }) => deviceId);
    await service.succeed(...devices);
    await service.tick();
    expect(service.sent.slice(5).map(({ version }) => version)).toEqual(Array(5).fill('2.0.0'));
    await service.boot(...devices);
    service.sent.splice(0, 5);
    await report(100, 600, () => 5);
    expect(await stateOf('r')).toMatchObject({ state: 'active' });
  });
});

describe('devices that proved the release and went dark later', () => {
  async function goDark(others: 'report' | 'are silent, too'): Promise<void> {
    await addFleet(60, ALWAYS_ON);
    await addRollout(db.app, 'r', '2.0.0', { stages: [{ count: 20, soak_minutes: 600 }] });
    await service.tick();
    const devices = service.sent.map(({ deviceId }) => deviceId);
    const rest = Array.from({ length: 60 }, (_, n) => `d${n}`).filter((device) => !devices.includes(device));
    await service.succeed(...devices);
    await service.statuses(rest, '1.0.0', 600_000);
    for (let minutes = 0; minutes < 20; minutes += 2) {
      service.later(2);
      await service.statuses(devices.slice(10), '2.0.0', 5_000 + minutes * 60);
      if (others === 'report') await service.statuses(rest, '1.0.0', 600_000);
      await service.tick();
    }
  }

  test('halt the rollout', async () => {
    await goDark('report');
    expect(await stateOf('r')).toEqual({
      state: 'halted',
      paused_reason:
        '10 of 20 devices went silent after they had proven 2.0.0, and 0 of 40 comparable devices in the same time; the rollout allows 10% more',
    });
  });

  test('do not halt it if as many others went dark', async () => {
    await goDark('are silent, too');
    expect(await stateOf('r')).toMatchObject({ state: 'active' });
  });
});

test('the health of a rollout is read by indexes, for a thousand devices at most', async () => {
  // A database of its own, so that no statistics exist before the test makes them.
  const fresh = await openTestDatabase();
  onTestFinished(() => fresh.close());
  for (const table of ['devices', 'device_update_status'])
    await fresh.owner.query(`ALTER TABLE ${table} SET (autovacuum_enabled = false)`);
  await addRelease(fresh.app, '2.0.0');
  await addDevices(fresh.owner, 20_000);
  const id = await addRollout(fresh.app, 'r', '2.0.0', { stages: [] });
  await fresh.owner.query(
    `INSERT INTO device_update_status (device_id, rollout_id, firmware_version, status, booted_at, completed_at)
     SELECT device_id, :id, '2.0.0', 'success', now(), now() FROM devices`,
    { id },
  );
  await fresh.owner.query(`UPDATE devices SET current_firmware_version = '2.0.0'`);
  const rollout = await loadRolloutRuntime(fresh.app, id);
  if (rollout === undefined) throw new Error('the rollout is gone');
  let plan = '';
  const watched: Sql = {
    async query(sql: string, values = {}) {
      const lines = await fresh.owner.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${sql}`, values);
      plan = lines.map((line) => line['QUERY PLAN']).join('\n');
      return fresh.app.query(sql, values);
    },
  };
  for (const isAnalyzed of [false, true]) {
    if (isAnalyzed) await fresh.owner.query('VACUUM ANALYZE');
    const { observed } = await loadHealthEvidence(watched, rollout, ['1.0.0', '2.0.0'], new Date());
    expect(observed).toHaveLength(1_000);
    expect(plan).toMatch(/Index Scan using devices_pkey/);
    expect(plan).toMatch(/Index Scan using device_update_status_health_idx/);
    expect(plan).not.toMatch(/Seq Scan|Sort/);
  }
});
