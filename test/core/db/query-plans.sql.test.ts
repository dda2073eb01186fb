import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Sql } from '../../../core/db/database.ts';
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
