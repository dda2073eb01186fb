import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
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
  await addDevices(db.app, 1);
  await addRollout(db.app, 'r', '2.0.0', { stages: [] });
  await service.tick();
});

const families = () => service.sent.map(({ family }) => family);
const update = async () =>
  (await db.app.query('SELECT status, attempt, sends, error_message FROM device_update_status'))[0];

test('a command that was delivered and ignored goes to the other family at a status after a minute', async () => {
  service.later(0.9);
  await service.status('d0', '1.0.0');
  expect(families()).toEqual(['devices']);
  service.later(0.1);
  await service.status('d0', '1.0.0');
  expect(families()).toEqual(['devices', 'edge']);
  expect(await update()).toMatchObject({ status: 'sent', attempt: 1, sends: 2 });
  expect((await db.app.query('SELECT in_flight FROM rollout_runtime'))[0]).toEqual({ in_flight: 1 });
});

test('the update succeeds on the other family, in its first attempt, and the device is known by it', async () => {
  service.later(2);
  await service.status('d0', '1.0.0');
  await service.accept('d0', 'edge');
  await service.succeed('d0');
  expect(await update()).toMatchObject({ status: 'success', attempt: 1 });
  expect((await db.app.query('SELECT command_family FROM devices'))[0]).toEqual({ command_family: 'edge' });
});

test('it goes there once: the next statuses change nothing, and the attempt ends at its deadline', async () => {
  for (let n = 0; n < 6; n++) {
    service.later(2);
    await service.status('d0', '1.0.0');
  }
  expect(families()).toEqual(['devices', 'edge']);
});

test.each([
  ['acknowledged its command', (s: TestService) => s.accept('d0')],
  ['opened its link', (s: TestService) => s.fetch('d0')],
])('a device that %s gets no second command, which firmware that reads both would lose', async (_, report) => {
  await report(service);
  service.later(2);
  await service.status('d0', '1.0.0');
  expect(families()).toEqual(['devices']);
});

test('a device that runs the new version without having reported anything gets no second command', async () => {
  service.later(2);
  await service.status('d0', '2.0.0', 20);
  expect(families()).toEqual(['devices']);
});
