import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { listStalledRollouts } from '../../../core/explain/index.ts';
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

const HOUR = 60;
const DAY = 24 * HOUR;
const stalled = () => listStalledRollouts(db.app, service.now);

test('a wave that waits for a device for a day is stalled, and the device is named', async () => {
  await addDevices(db.app, 10);
  await db.app.query('UPDATE devices SET report_interval_seconds = 36000');
  await addRollout(db.app, 'r', '2.0.0');
  const [device = ''] = await service.tick();
  const began = service.now;
  await service.boot(device);
  service.later(23 * HOUR);
  await service.tick();
  expect(await stalled()).toEqual([]);
  service.later(HOUR);
  await service.tick();
  expect(await stalled()).toEqual([
    {
      rollout_id: 1,
      name: 'r',
      movedAt: began,
      waitingFor: '1 device of this wave to end',
      devices: 1,
      examples: [device],
      isBlocked: true,
    },
  ]);
  service.later(DAY + HOUR);
  await service.tick();
  expect(await stalled()).toEqual([]);
});

test('a rollout whose release is missing for a day is stalled, with what is missing', async () => {
  await addRollout(db.app, 'r', '9.0.0');
  await db.app.query('UPDATE rollout_configurations SET updated_at = :now::timestamptz', { now: service.now });
  await service.tick();
  expect(await stalled()).toEqual([]);
  service.later(DAY);
  expect(await stalled()).toMatchObject([
    { waitingFor: 'no release 9.0.0 is registered for esp32-s3', devices: 0, examples: [], isBlocked: true },
  ]);
});

test('a rollout of which only absent devices are left is named after a week, and raises no alarm', async () => {
  await addDevices(db.app, 2);
  service.absent.add('d0');
  await addRollout(db.app, 'r', '2.0.0', { stages: [] });
  await service.tick();
  await service.succeed('d1');
  service.later(6 * DAY);
  await service.tick();
  expect(await stalled()).toEqual([]);
  service.later(DAY);
  expect(await stalled()).toMatchObject([
    { waitingFor: 'the assigned devices to finish', devices: 1, examples: ['d0'], isBlocked: false },
  ]);
});

test('a rollout that waits for a device of another rollout names it', async () => {
  await addDevices(db.app, 1);
  await addRelease(db.app, '3.0.0');
  service.absent.add('d0');
  await addRollout(db.app, 'other', '3.0.0', { stages: [], priority: 5 });
  await service.tick();
  await addRollout(db.app, 'r', '2.0.0', { stages: [] });
  await service.tick();
  service.later(7 * DAY);
  expect(await stalled()).toMatchObject([
    { name: 'other', devices: 1, examples: ['d0'] },
    { name: 'r', devices: 1, examples: ['d0'] },
  ]);
});

test.each([
  ['soaks', { stages: [{ count: 1, soak_minutes: 3 * DAY }] }],
  ['is outside its send window', { stages: [], send_window: { from: '12:00', to: '12:30', time_zone: 'UTC' } }],
  ['is open for devices that join later', { stages: [], keep_open: true }],
  ['starts later', { stages: [], start_at: '2026-12-31T00:00:00Z' }],
])('a rollout that %s is not stalled', async (_, columns) => {
  await addDevices(db.app, 2);
  await addRollout(db.app, 'r', '2.0.0', columns);
  await service.succeed(...(await service.tick()));
  await service.tick();
  service.later(2 * DAY + HOUR);
  await service.tick();
  expect(await stalled()).toEqual([]);
});

test('a halted rollout is not stalled: it needs attention by itself', async () => {
  await addDevices(db.app, 3);
  await addRollout(db.app, 'r', '2.0.0', { stages: [] });
  await service.tick();
  await service.fail('d0', 'd1', 'd2');
  await service.tick();
  service.later(30 * DAY);
  expect(await stalled()).toEqual([]);
});
