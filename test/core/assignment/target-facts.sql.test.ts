import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { explainDevice } from '../../../core/explain/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addRelease, addRollout } from '../../support/rows.ts';
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

const CHARGED = { facts: { battery_percent: { min: 50 } } };
const updates = () =>
  db.app.query<{ status: string; error_message: string }>(
    'SELECT status, error_message FROM device_update_status ORDER BY id',
  );

test('a device is assigned when its next status meets the filter', async () => {
  const id = await addRollout(db.app, 'charged', '2.0.0', { target_filter: CHARGED, stages: [], keep_open: true });
  await service.status('d0', '1.0.0', 5, { battery_percent: 80 });
  await service.status('d1', '1.0.0', 5, { battery_percent: 20 });
  await service.status('d2', '1.0.0', 5);
  expect(await service.tick()).toEqual(['d0']);
  expect(await explainDevice(db.app, id, 'd1', service.now)).toMatchObject({
    rule: 'states battery_percent=20; target_filter.facts asks for 50 or more',
  });
  service.later(1);
  await service.status('d1', '1.0.0', 65, { battery_percent: 50 });
  expect(await service.tick()).toEqual(['d1']);
});

test('a pending update is not sent to a device that no longer meets the filter, until it does again', async () => {
  await addRollout(db.app, 'charged', '2.0.0', { target_filter: CHARGED, stages: [], keep_open: true });
  await service.status('d0', '1.0.0', 5, { battery_percent: 80 });
  service.absent.add('d0');
  await service.tick();
  expect(await updates()).toMatchObject([{ status: 'pending' }]);
  service.absent.clear();
  service.later(61);
  await service.status('d0', '1.0.0', 65, { battery_percent: 20 });
  expect(service.sent).toEqual([]);
  expect(await updates()).toMatchObject([
    { status: 'canceled', error_message: expect.stringContaining('no longer targets this device') },
  ]);
  service.later(1);
  await service.status('d0', '1.0.0', 125, { battery_percent: 90 });
  expect(await service.tick()).toEqual(['d0']);
});

test('a rollout that excludes by a fact that changes all the time examines a device again when it does', async () => {
  const target_filter = { except: { facts: { battery_percent: { max: 49 } } } };
  await addRollout(db.app, 'charged', '2.0.0', { target_filter, stages: [], keep_open: true });
  await service.status('d0', '1.0.0', 5, { battery_percent: 20 });
  expect(await service.tick()).toEqual([]);
  service.later(1);
  await service.status('d0', '1.0.0', 65, { battery_percent: 60 });
  expect(await service.tick()).toEqual(['d0']);
});
