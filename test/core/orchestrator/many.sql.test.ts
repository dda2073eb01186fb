import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { getRollout, listActiveRolloutIds } from '../../../core/rollouts/index.ts';
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
  await addRelease(db.app, '3.0.0');
  service = new TestService(db.app, db.roles);
});

/** Adds a device for each of these many versions: 1.0.0, 1.1.0, … */
const addVersions = (count: number) =>
  db.owner.query(
    `INSERT INTO devices (device_id, client_id, model_received_at, current_firmware_version, online, last_seen)
     SELECT 'd' || n, 'd' || n, now(), '1.' || n || '.0', true, now() FROM generate_series(1, :count::integer) AS n`,
    { count },
  );

const assigned = async (id: number) => {
  const [row] = await db.app.query<{ devices: number }>(
    'SELECT count(*)::integer AS devices FROM device_update_status WHERE rollout_id = :id',
    { id },
  );
  return row?.devices;
};

test('a rollout assigns the devices of 1,100 versions', async () => {
  await addVersions(1_100);
  const id = await addRollout(db.app, 'r', '3.0.0', { stages: [] });
  await service.tick();
  expect(await assigned(id)).toBe(1_100);
});

test('a rollout of a model with more than 10,000 versions halts and says why', async () => {
  await addVersions(10_001);
  const id = await addRollout(db.app, 'r', '3.0.0', { stages: [] });
  await service.tick();
  expect((await getRollout(db.app, String(id)))?.paused_reason).toContain('more than 10000 versions');
  expect(await assigned(id)).toBe(0);
});

test('a rollout leaves the devices of 20 higher-priority rollouts alone', async () => {
  for (let n = 0; n < 20; n++) {
    await addRelease(db.app, `2.${n}.0`);
    await addDevices(db.app, 1, { prefix: `on-${n}-`, version: `2.${n}.0` });
    const target = { target_type: 'specific', target_filter: { device_ids: [`on-${n}-0`] } };
    await addRollout(db.app, `keeper ${n}`, `2.${n}.0`, { stages: [], priority: 5, keep_open: true, ...target });
  }
  await addDevices(db.app, 1);
  await service.tick();
  const id = await addRollout(db.app, 'r', '3.0.0', { stages: [] });
  await service.tick();
  expect(await assigned(id)).toBe(1);
});

test('every one of 600 active rollouts is processed, those of high priority first', async () => {
  await db.app.query(
    `INSERT INTO rollout_configurations (name, firmware_version, priority)
     SELECT 'r' || n, '3.0.0', -n FROM generate_series(1, 600) AS n`,
  );
  expect(await listActiveRolloutIds(db.app)).toEqual(Array.from({ length: 600 }, (_, n) => n + 1));
});
