import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { countSeen, countVersions } from '../../../core/devices/index.ts';
import { compactCounters } from '../../../core/orchestrator/compact-counters.ts';
import {
  getRollout,
  listFailures,
  listOutcomes,
  listStages,
  resumeRollout,
  retryFailed,
  stopRollout,
} from '../../../core/rollouts/index.ts';
import { counterErrors } from '../../support/counter-recount.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
let rolloutId: number;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  await addDevices(db.app, 4);
  service = new TestService(db.app, db.roles);
  const columns = { stages: [], max_attempts: 1, failure_threshold: 1 };
  rolloutId = await addRollout(db.app, 'all', '2.0.0', columns);
});

const because = () => ({ rolloutId, reason: 'because', by: 'an operator' });
const counts = async () => {
  const found = await getRollout(db.app, 'all');
  return found && { devices: found.devices, pending: found.pending, succeeded: found.succeeded, failed: found.failed };
};

test('counts follow every change of a row and stay the same after compaction', async () => {
  await service.tick();
  await service.succeed('d0', 'd1');
  await service.fail('d2');
  service.later(6);
  await service.tick();
  expect(await counterErrors(db.app)).toEqual([]);
  expect(await counts()).toEqual({ devices: 4, pending: 0, succeeded: 2, failed: 1 });
  await compactCounters(db.app);
  expect(await counterErrors(db.app)).toEqual([]);
  expect(await counts()).toEqual({ devices: 4, pending: 0, succeeded: 2, failed: 1 });
  expect(await listStages(db.app, rolloutId)).toMatchObject([{ states: { success: 2, failed: 1, sent: 1 } }]);
  expect(await listFailures(db.app, rolloutId)).toEqual([
    { status: 'failed', cause: 'build', reason: 'invalid firmware (9): code 9', devices: 1 },
  ]);
  const outcomes = await listOutcomes(db.app, rolloutId);
  expect(outcomes.reduce((sum, { succeeded, failed }) => sum + succeeded + failed, 0)).toBe(3);
  expect(await countVersions(db.app)).toEqual([
    { device_model: 'esp32-s3', firmware_version: '1.0.0', devices: 2 },
    { device_model: 'esp32-s3', firmware_version: '2.0.0', devices: 2 },
  ]);
});

test('compaction leaves one entry per kind', async () => {
  await service.tick();
  await service.succeed('d0', 'd1');
  await service.tick();
  await compactCounters(db.app);
  const [row] = await db.app.query(
    `SELECT (SELECT count(*) FROM update_counts)::integer AS updates, (SELECT count(*) FROM version_counts)::integer AS versions`,
  );
  expect(row).toEqual({ updates: 2, versions: 2 });
});

test('a device that is canceled twice by halts, or retried, counts once', async () => {
  service.absent.add('d0').add('d1').add('d2');
  await service.tick();
  await service.fail('d3');
  for (let halts = 0; halts < 2; halts++) {
    await stopRollout(db.app, because(), service.now);
    service.later(1);
    await service.tick();
    expect(await getRollout(db.app, 'all')).toMatchObject({ devices: 4, canceled: 3, failed: 1 });
    await resumeRollout(db.app, because(), service.now);
    await service.tick();
  }
  await retryFailed(db.app, because(), ['1.0.0'], service.now);
  await service.tick();
  expect(await getRollout(db.app, 'all')).toMatchObject({ devices: 4, failed: 0, canceled: 0 });
  expect(await counterErrors(db.app)).toEqual([]);
});

test('deleted updates are not counted', async () => {
  await service.tick();
  await db.app.query(`DELETE FROM devices WHERE device_id = 'd0'`);
  expect(await counterErrors(db.app)).toEqual([]);
  await db.app.query('DELETE FROM rollout_configurations');
  await compactCounters(db.app);
  expect(await db.app.query('SELECT * FROM update_counts')).toEqual([]);
});

test('counts recently seen devices, in a large fleet from a sample', async () => {
  const now = new Date('2026-03-01T12:00:00Z');
  await addDevices(db.app, 20_000, { prefix: 'x' });
  await db.app.query(
    `UPDATE devices SET last_seen = :now::timestamptz - CASE right(device_id, 1)
       WHEN '0' THEN interval '1 minute' WHEN '1' THEN interval '2 hours' ELSE interval '30 days' END`,
    { now },
  );
  // Includes d0 and d1 of four others.
  // Nothing is known of their habits, so that those of the last hour are online.
  const all = { online: 2_001, last_hour: 2_001, last_day: 4_002, last_week: 4_002 };
  expect(await countSeen(db.app, { now, pause: null })).toEqual({ ...all, is_estimate: false });
  const estimate = await countSeen(db.app, { now, pause: null }, 5_000);
  expect(estimate.is_estimate).toBe(true);
  expect(estimate.last_hour / all.last_hour).toBeGreaterThan(0.5);
  expect(estimate.last_hour / all.last_hour).toBeLessThan(1.5);
});

test('counts no recently seen devices in an empty fleet', async () => {
  await db.empty();
  const nothing = { online: 0, last_hour: 0, last_day: 0, last_week: 0 };
  expect(await countSeen(db.app, { now: new Date(), pause: null })).toEqual({ ...nothing, is_estimate: false });
});

test('compaction does not rewrite sums without new entries', async () => {
  await service.tick();
  await service.succeed('d0');
  service.later(6);
  await service.tick();
  await compactCounters(db.app);
  const places = () =>
    db.app.query(`SELECT 'update' AS counter, ctid::text FROM update_counts UNION ALL
      SELECT 'outcome', ctid::text FROM outcome_counts ORDER BY 1, 2`);
  const before = await places();
  await service.status('another', '1.0.0');
  await compactCounters(db.app);
  expect(await places()).toEqual(before);
  expect(await counterErrors(db.app)).toEqual([]);
});
