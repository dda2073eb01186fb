import { afterAll, beforeAll, expect, test } from 'vitest';
import { healthText, rolloutHealthText } from '../../cli/text/index.ts';
import { refusal, TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDevices, addRelease, addRollout } from '../support/rows.ts';
import { TestService } from '../support/service.ts';

let db: TestDatabase;
let client: TestApi['client'];
let rollout: number;

/** Four devices that restarted once in 25 hours each on 1.0.0; two have run 2.0.0 for an hour and restarted twice. */
beforeAll(async () => {
  db = await openTestDatabase();
  await addRelease(db.app, '2.0.0');
  await addRelease(db.app, '3.0.0');
  await addDevices(db.app, 4);
  const service = new TestService(db.app, db.roles);
  // The view reads the clock of the database.
  service.now = new Date(Date.now() - 1.5 * 3_600_000);
  client = new TestApi(db.roles.control, () => service.now).client;
  await db.app.query(
    `UPDATE devices SET last_seen = :now::timestamptz, restarts = 1, observed_seconds = 25 * 3600, uptime_seconds = 100,
       report_interval_seconds = 60`,
    { now: service.now },
  );
  rollout = await addRollout(db.app, 'vans', '2.0.0', { stages: [{ count: 2, soak_minutes: 600 }] });
  const devices = await service.tick();
  await service.boot(...devices);
  for (let n = 0; n < 3; n++) {
    service.later(20);
    await service.statuses(devices, '2.0.0', n === 0 ? 1_200 : 5);
  }
});
afterAll(() => db?.close());

const VERSION = {
  firmware_version: '2.0.0',
  devices: 2,
  restarts: 4,
  device_hours: 2,
  restarts_per_device_hour: 2,
  heard_of: 2,
  silent: 0,
  share_silent: 0,
};
const BEFORE = {
  firmware_version: '1.0.0',
  devices: 2,
  restarts: 4,
  device_hours: 100,
  restarts_per_device_hour: 0.04,
  heard_of: 2,
  silent: 0,
  share_silent: 0,
};

test('the health of a release is shown beside the version before, with its exposure', async () => {
  const health = await client.releaseHealth('esp32-s3', '2.0.0');
  expect(health).toMatchObject({ version: VERSION, before: { ...BEFORE, device_hours: expect.closeTo(100, 1) } });
  const lines = healthText(health);
  expect(lines[0]).toBe('Release health');
  expect(lines.slice(1).map((line) => line.trim().split(/\s{2,}/))).toEqual([
    ['VERSION', 'DEVICES', 'DEVICE-HOURS', 'RESTARTS/H', 'SILENT'],
    ['2.0.0', '2', '2', '2', '0 of 2'],
    ['1.0.0 (before)', '2', '100', '0.04', '0 of 2'],
  ]);
});

test('the health of a rollout compares its devices with themselves', async () => {
  const health = await client.rolloutHealth('vans');
  expect(health.comparison).toEqual({
    devices: 2,
    device_hours: 2,
    device_hours_before: 50,
    restarts: 4,
    restarts_per_device_hour: 2,
    restarts_per_device_hour_before: expect.closeTo(0.04, 5),
    state: 'too_little_exposure',
  });
  expect(rolloutHealthText(health).at(-1)).toBe(
    'The devices of this rollout: 2 restarts an hour (2 devices, 2 device-hours), 0.04 before (50 device-hours): too little exposure to tell.',
  );
});

test('a release that no device has run has no rate, and no version before', async () => {
  expect(await client.releaseHealth('esp32-s3', '3.0.0')).toEqual({
    version: {
      ...VERSION,
      firmware_version: '3.0.0',
      devices: 0,
      restarts: 0,
      device_hours: 0,
      restarts_per_device_hour: null,
      heard_of: 0,
      share_silent: null,
    },
    before: null,
  });
});

test('the health of what does not exist is refused', async () => {
  expect(await refusal(client.releaseHealth('esp32-s3', '9.9.9'))).toMatchObject({ status: 404 });
  expect(await refusal(client.rolloutHealth(rollout + 1))).toMatchObject({ status: 404 });
});

test('the limit of restarts can be changed and removed while the rollout runs', async () => {
  const before = await client.rollout(rollout);
  expect(before.max_restart_ratio).toBe(2);
  const raised = await client.changeRollout(rollout, before.updated_at, { max_restart_ratio: 3.5 });
  expect(raised.max_restart_ratio).toBe(3.5);
  const removed = await client.changeRollout(rollout, raised.updated_at, { max_restart_ratio: null });
  expect(removed.max_restart_ratio).toBeNull();
  expect((await client.rolloutHealth(rollout)).comparison.state).toBe('unchecked');
});
