import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { recordRefusals } from '../../core/devices/index.ts';
import { DRAFT, refusal, TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDevices, addRelease } from '../support/rows.ts';
import { TestService } from '../support/service.ts';

let db: TestDatabase;
let service: TestService;
let api: TestApi;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  service = new TestService(db.app, db.roles);
  api = new TestApi(db.roles.control, () => service.now);
});

/** Three refusals in two minutes, the last one 20 s ago. */
const refuse = (clientId: string) =>
  recordRefusals(
    db.app,
    [140, 80, 20].map((seconds) => ({
      clientId,
      reason: 'AUTH_ERROR' as const,
      at: new Date(service.now.getTime() - seconds * 1000),
    })),
  );
const textOf = (id: string) =>
  `disconnected by its policy 3 times in 2 min, the last time 20 s ago; its policy allows: publish on paku/edge/${id}/*`;
const refused = async () => (await api.client.fleet()).attention.filter(({ kind }) => kind === 'refused_by_policy');

test('a device that its policy refuses is shown in the fleet, with the device and in its explanation', async () => {
  await addDevices(db.app, 1);
  await db.app.query('UPDATE devices SET last_seen = NULL');
  await refuse('d0');
  await api.client.createRollout({ ...DRAFT, is_active: true });
  expect(await refused()).toMatchObject([{ message: `Device d0 was ${textOf('d0')}`, link: '/devices/d0' }]);
  expect(await api.client.device('d0')).toMatchObject({ refusals: { times: 3, text: textOf('d0') } });
  expect(await api.client.explain('d0', {})).toMatchObject({ refusals: { times: 3, text: textOf('d0') } });
});

test('a device that never reported is shown if it is a thing of this deployment', async () => {
  api.certificates.set('new', ['its-certificate']);
  await refuse('new');
  await refuse('lamp-of-another-system');
  expect(await refused()).toMatchObject([
    { message: `Device new, which never reported, was ${textOf('new')}`, link: null },
  ]);
  expect(await refusal(api.client.device('new'))).toMatchObject({
    status: 404,
    detail: `There is no device new: it never reported, and it was ${textOf('new')}.`,
  });
});

test('a device that is not refused has no refusals', async () => {
  await addDevices(db.app, 1);
  expect(await refused()).toEqual([]);
  expect(await api.client.device('d0')).toMatchObject({ refusals: null });
});

test('the connection is what AWS IoT says, and is asked for one device only', async () => {
  await addDevices(db.app, 1);
  await api.client.createRollout({ ...DRAFT, is_active: true });
  const since = new Date(service.now.getTime() - 60_000);
  api.connection = { state: 'disconnected', since, reason: 'CONNECTION_LOST' };
  const connection = {
    state: 'disconnected',
    since: since.toISOString(),
    reason: 'CONNECTION_LOST',
    topics: null,
    text: 'disconnected 60 s ago (CONNECTION_LOST)',
  };
  expect(await api.client.device('d0')).toMatchObject({ connection });
  expect(await api.client.explain('d0', {})).toMatchObject({ connection });
  expect(await api.client.setAttributes('d0', { site: 'rome' })).toMatchObject({ connection: null });
});

test('a connected device is shown with the topics that it listens on', async () => {
  await addDevices(db.app, 1);
  const filters = ['paku/control', 'paku/edge/d0/cmd/ota'];
  api.connection = { state: 'connected', since: service.now, reason: null, filters };
  expect((await api.client.device('d0')).connection).toMatchObject({
    topics: filters,
    text: 'connected for 1 s; listens on paku/edge/d0/cmd/ota',
  });
});

test('a device is shown although AWS IoT cannot be asked', async () => {
  await addDevices(db.app, 1);
  api.connection = { state: 'not_asked', error: 'ForbiddenException' };
  expect(await api.client.device('d0')).toMatchObject({
    device_id: 'd0',
    connection: { state: 'not_asked', since: null, text: 'AWS IoT could not be asked (ForbiddenException)' },
  });
});
