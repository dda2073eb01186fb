import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Sql } from '../../../core/db/database.ts';
import { listDevices } from '../../../core/devices/index.ts';
import { runTick } from '../../../core/orchestrator/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';

/** Enough devices that scanning all costs more than some lookups, and that a scan takes more than one tick. */
const DEVICES = 30_000;

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
  await addDevices(db.owner, DEVICES);
  await addRelease(db.app, '2.0.0');
  await addRelease(db.app, '3.0.0');
  await addRollout(db.app, 'older', '2.0.0', { stages: [] });
  await db.owner.query('VACUUM ANALYZE devices');
});
afterAll(() => db?.close());

const now = new Date('2026-03-02T12:00:00Z');

/**
 * Runs one tick.
 * @returns its statements, each with its plan
 */
async function tickAndExplain(): Promise<string[]> {
  const plans: string[] = [];
  const watched: Sql = {
    async query(sql: string, values = {}) {
      const plan = await db.owner.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${sql}`, values);
      plans.push([sql, ...plan.map((line) => line['QUERY PLAN'])].join('\n'));
      return db.app.query(sql, values);
    },
  };
  await runTick(watched, now, async () => {});
  return plans;
}

/** The statements of one tick that read all devices. */
const scansOfTick = async () => (await tickAndExplain()).filter((plan) => /Seq Scan on devices/.test(plan));

test('the tick that starts a rollout counts its targeted devices: this check finds sequential scans where there are some', async () => {
  expect(await scansOfTick()).not.toEqual([]);
});

test('a tick that continues a scan does not read all devices', async () => {
  expect(await scansOfTick()).toEqual([]);
});

test('a tick of a rollout whose devices are taken over does not read all devices', async () => {
  await addRollout(db.app, 'newer', '3.0.0', { stages: [] });
  await scansOfTick();
  // Without it, the plan depends on when the server last analyzed the table by itself.
  await db.owner.query('VACUUM ANALYZE device_update_status');
  const plans = await tickAndExplain();
  expect(plans.filter((plan) => /Seq Scan on devices/.test(plan))).toEqual([]);
  // The history of each assigned device is read by an index: a comparison by another collation cannot use it.
  const assigning = plans.filter((plan) => plan.includes('INSERT INTO device_update_status'));
  expect(assigning).not.toEqual([]);
  const reading = /Seq Scan on device_update_status|device_update_status_completed_idx/;
  expect(assigning.filter((plan) => reading.test(plan))).toEqual([]);
});

test('a tick that examines changed devices does not read all devices', async () => {
  await db.owner.query(`UPDATE devices SET metadata = '{"customer":"x"}' WHERE device_id IN ('d1', 'd2', 'd3')`);
  expect(await scansOfTick()).toEqual([]);
});

test('an index finds whether a rollout has an open update, even if all its pending updates were taken over', async () => {
  await db.owner.query('VACUUM ANALYZE device_update_status');
  const asking = (await tickAndExplain()).filter((plan) => plan.includes('AS has_open'));
  expect(asking.length).toBeGreaterThan(1);
  expect(asking.filter((plan) => /Seq Scan on device_update_status/.test(plan))).toEqual([]);
});

test('release health reads the devices of a version by an index, also where the version is rare', async () => {
  await db.owner.query(`UPDATE devices SET current_firmware_version = '1.1.0' WHERE device_id IN ('d1', 'd2', 'd3')`);
  await db.owner.query('VACUUM ANALYZE devices');
  const plan = await db.owner.query<{ 'QUERY PLAN': string }>('EXPLAIN SELECT * FROM release_health');
  const lines = plan.map((line) => line['QUERY PLAN']).join('\n');
  expect(lines).toContain('devices_model_version_idx');
  expect(lines).not.toMatch(/Seq Scan on devices/);
});

test('the limit per value of an attribute reads the devices in flight, not all devices or updates', async () => {
  await db.owner.query(`UPDATE devices SET metadata = '{"site": "north"}' WHERE device_id LIKE 'd1%'`);
  await db.owner.query(
    `UPDATE rollout_configurations SET max_in_flight_per = '{"attribute": "site", "max": 2}' WHERE name = 'newer'`,
  );
  await db.owner.query(
    `UPDATE device_update_status SET status = 'sent', holds_slot = true WHERE completed_at IS NULL AND device_id LIKE 'd100%'`,
  );
  await db.owner.query('VACUUM ANALYZE devices');
  await db.owner.query('VACUUM ANALYZE device_update_status');
  const picking = (await tickAndExplain()).filter((plan) => plan.includes('in_flight_by_value'));
  expect(picking).not.toEqual([]);
  expect(picking.filter((plan) => /Seq Scan on device/.test(plan))).toEqual([]);
  const counting = await db.owner.query<{ 'QUERY PLAN': string }>(
    `EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM in_flight_by_value('site', true)`,
  );
  const [, buffers = ''] = /shared hit=(\d+)/.exec(counting.map((line) => line['QUERY PLAN']).join('\n')) ?? [];
  const [table] = await db.owner.query<{ pages: number }>(
    `SELECT relpages AS pages FROM pg_class WHERE relname = 'devices'`,
  );
  const [held] = await db.owner.query<{ updates: number }>(
    'SELECT count(*)::integer AS updates FROM device_update_status WHERE holds_slot AND completed_at IS NULL',
  );
  expect(held?.updates).toBeGreaterThan(50);
  // An index of updates, and for each of them one of devices and a page.
  expect(Number(buffers)).toBeLessThan(8 * (held?.updates ?? 0) + 300);
  expect(Number(buffers)).toBeLessThan(table?.pages ?? 0);
});

test('devices with a rare attribute are listed by an index, not by reading all devices', async () => {
  await db.owner.query(`UPDATE devices SET metadata = '{"site": "lab-3"}' WHERE device_id IN ('d5', 'd20000')`);
  await db.owner.query('VACUUM ANALYZE devices');
  const plans: string[] = [];
  const watched: Sql = {
    async query(sql: string, values = {}) {
      const plan = await db.owner.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${sql}`, values);
      plans.push(plan.map((line) => line['QUERY PLAN']).join('\n'));
      return db.app.query(sql, values);
    },
  };
  const listed = await listDevices(watched, { attribute: { site: 'lab-3' } }, null, 50, { now, pause: null });
  expect(listed.map(({ device_id: id }) => id)).toEqual(['d20000', 'd5']);
  expect(plans).toEqual([expect.stringContaining('devices_metadata_idx')]);
});

test('the failures of a covered value are compared without reading all devices', async () => {
  await db.owner.query(
    `UPDATE rollout_configurations SET first_stage_covers = '["facts.board_revision"]' WHERE name = 'newer'`,
  );
  await db.owner.query(
    `UPDATE device_update_status SET status = 'failed', cause = 'build', completed_at = :now::timestamptz, counts_as_started = true
     WHERE device_id IN ('d200', 'd201', 'd202') AND rollout_id = (SELECT id FROM rollout_configurations WHERE name = 'newer')`,
    { now },
  );
  await db.owner.query(
    `UPDATE device_update_status SET counts_as_started = true WHERE completed_at IS NULL AND device_id LIKE 'd3%'`,
  );
  const comparing = (await tickAndExplain()).filter((plan) => plan.includes('grouped AS ('));
  expect(comparing).toHaveLength(1);
  expect(comparing.filter((plan) => /Seq Scan on devices/.test(plan))).toEqual([]);
});

test('the devices that cover the values of a fleet are found in one pass over it', async () => {
  const id = await addRollout(db.app, 'covering', '3.0.0', {
    stages: [{ percentage: 1 }],
    first_stage_covers: ['version', 'facts.board_revision', 'attributes.site'],
    priority: 9,
  });
  const covering = (await tickAndExplain()).filter((plan) => plan.includes('AS may_cover'));
  expect(covering).toHaveLength(1);
  expect(covering[0]?.match(/Scan on devices/g)).toHaveLength(1);
  const [members] = await db.app.query<{ devices: number }>(
    'SELECT count(*)::integer AS devices FROM rollout_members WHERE rollout_id = :id',
    { id },
  );
  expect(members?.devices).toBeGreaterThan(0);
});
