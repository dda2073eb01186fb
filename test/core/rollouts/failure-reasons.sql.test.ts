import { afterAll, beforeAll, expect, test } from 'vitest';
import { listFailures } from '../../../core/rollouts/index.ts';
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
    { status: 'rolled_back', reason: 'other reasons (4)', devices: 4 },
    { status: 'failed', reason: 'other reasons (3)', devices: 3 },
  ]);
  expect(failures.reduce((sum, { devices }) => sum + devices, 0)).toBe(60);
});
