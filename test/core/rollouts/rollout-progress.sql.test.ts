import { afterAll, beforeAll, expect, test } from 'vitest';
import { listFailures, readFunnel } from '../../../core/rollouts/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());

test('the failures of a rollout add up, however many reasons there are', async () => {
  await addDevices(db.app, 60);
  await addRelease(db.app, '2.0.0');
  const rollout = await addRollout(db.app, 'r', '2.0.0');
  // Device 0 to 24 have a reason each, the others one in common.
  await db.app.query(
    `INSERT INTO device_update_status (device_id, rollout_id, firmware_version, status, cause, error_message, completed_at)
     SELECT 'd' || n, :rollout, '2.0.0', CASE WHEN n % 2 = 0 THEN 'failed' ELSE 'rolled_back' END, 'build',
       'reason ' || least(n, 25), now() FROM generate_series(0, 59) AS n`,
    { rollout },
  );
  const failures = await listFailures(db.app, rollout);
  expect(failures[0]).toMatchObject({ devices: 18, reason: 'reason 25' });
  expect(failures.slice(20)).toEqual([
    { status: 'rolled_back', cause: 'build', reason: 'other reasons (4)', devices: 4 },
    { status: 'failed', cause: 'build', reason: 'other reasons (3)', devices: 3 },
  ]);
  expect(failures.reduce((sum, { devices }) => sum + devices, 0)).toBe(60);
});

test('the funnel of a rollout counts each device at every step that it came to, in any attempt', async () => {
  const rollout = await addRollout(db.app, 'funnel', '2.0.0');
  const past = '2026-03-01T00:00:00Z';
  const add = (device: string, columns: Record<string, unknown>) =>
    db.app.query(
      `INSERT INTO device_update_status (device_id, rollout_id, firmware_version, status, sends, started_at, installed_at,
         booted_at, completed_at, is_stepping_stone)
       SELECT device_id, rollout_id, '2.0.0', status, sends, started_at, installed_at, booted_at, completed_at, is_stepping_stone
       FROM jsonb_populate_record(NULL::device_update_status, :row::jsonb)`,
      {
        row: {
          ...{ status: 'pending', sends: 0, started_at: null, installed_at: null, booted_at: null, completed_at: null },
          ...{ device_id: device, rollout_id: rollout, is_stepping_stone: false, ...columns },
        },
      },
    );
  await add('d0', {});
  await add('d1', { sends: 2 });
  await add('d2', { status: 'failed', sends: 1, started_at: past, completed_at: past });
  // It reboots without having reported that it wrote the image.
  await add('d3', { status: 'installing', sends: 1, started_at: past, booted_at: past });
  await add('d4', { status: 'success', booted_at: past, completed_at: past });
  await add('d5', { status: 'success', booted_at: past, completed_at: past, is_stepping_stone: true });
  expect(await readFunnel(db.app, rollout)).toEqual({
    assigned: 5,
    sent: 4,
    answered: 3,
    installed: 2,
    booted: 2,
    succeeded: 1,
  });
});
