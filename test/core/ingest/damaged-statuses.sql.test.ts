import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ingestReports } from '../../../lambdas/ingest-ota/report-batch.ts';
import { parseStatusBatch, storeStatusBatch } from '../../../lambdas/ingest-status/status-batch.ts';
import { TestApi } from '../../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { OTA_SENDERS, STATUS_SENDERS } from '../../support/senders.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
let client: TestApi['client'];
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  service = new TestService(db.app, db.roles);
  client = new TestApi(db.roles.control, () => service.now).client;
});

const bodyOf = (topic: string, payload: string) => ({
  body: JSON.stringify({
    payload: Buffer.from(payload).toString('base64'),
    topic,
    received_at: service.now.getTime(),
    client_id: topic.split('/')[2],
  }),
});

function sendStatus(device: string, payload: string) {
  const batch = parseStatusBatch([bodyOf(`paku/edge/${device}/status`, payload)], STATUS_SENDERS, service.now);
  return storeStatusBatch(db.app, batch, service.now);
}

test('a new device whose status cannot be read exists, and its page shows what it sent', async () => {
  expect(await sendStatus('van-1', 'garbage\n')).toMatchObject({ rejected: 1 });
  expect(await client.device('van-1')).toMatchObject({
    online: true,
    last_seen: service.now.toISOString(),
    current_firmware_version: 'unknown',
    status_fault: 'payload cannot be read: character 1: expected a JSON object: "garbage"',
    rejected_message: {
      topic: 'paku/edge/van-1/status',
      reason: 'payload cannot be read: character 1: expected a JSON object: "garbage"',
      beginning: 'garbage\\n',
      received_at: service.now.toISOString(),
    },
  });
  expect((await client.rejectedMessages()).items).toMatchObject([{ beginning: 'garbage\\n' }]);
});

test('a status that cannot be read erases nothing and is followed by one that can', async () => {
  const status = '{"firmware_version":"1.4.2","device_model":"esp32-c3","mac":"A0:B7:65:20:E9:55"}';
  await sendStatus('van-1', status);
  service.later(1);
  await sendStatus('van-1', '{"firmware_ver');
  const known = { current_firmware_version: '1.4.2', device_model: 'esp32-c3', mac_address: 'A0:B7:65:20:E9:55' };
  expect(await client.device('van-1')).toMatchObject({
    ...known,
    last_seen: service.now.toISOString(),
    status_fault: 'payload cannot be read: character 15: the payload ends within the name of a field',
  });
  service.later(1);
  await sendStatus('van-1', status);
  expect(await client.device('van-1')).toMatchObject({ ...known, status_fault: null });
});

test('a status with nan is stored without the sensor, names the fault, and is not rejected', async () => {
  expect(await sendStatus('van-1', '{"t":nan,"firmware_version":"1.4.2","uptime_s":7}')).toMatchObject({ rejected: 0 });
  expect(await client.device('van-1')).toMatchObject({
    current_firmware_version: '1.4.2',
    uptime_seconds: 7,
    last_status: { t: null, firmware_version: '1.4.2' },
    status_fault: 'character 6: field "t" is nan',
    rejected_message: null,
  });
});

test.each(['garbage', '{"firmware_version":"1.0.0","t":nan}', '{"firmware_version":"1.0'])(
  'a sleeper that says %s is sent its pending update',
  async (payload) => {
    await addDevices(db.app, 1);
    await addRelease(db.app, '2.0.0');
    await addRollout(db.app, 'r', '2.0.0');
    service.absent.add('d0');
    await service.tick();
    service.later(60);
    expect((await sendStatus('d0', payload)).pending).toHaveLength(1);
  },
);

test('a good build that says nan after its boot is proven', async () => {
  await addDevices(db.app, 1);
  await addRelease(db.app, '2.0.0');
  await addRollout(db.app, 'r', '2.0.0');
  await service.tick();
  await service.fetch('d0');
  await service.result('d0', 0);
  service.later(1);
  await sendStatus('d0', '{"firmware_version":"2.0.0","t":nan,"uptime_seconds":30}\0');
  service.later(6);
  await sendStatus('d0', '{"firmware_version":"2.0.0","t":-inf,"uptime_seconds":390,"heap":71582784.');
  await service.tick();
  expect((await client.device('d0')).update).toMatchObject({ status: 'success', is_open: false });
});

test('reports of an update count with numbers and booleans as text', async () => {
  await addDevices(db.app, 1);
  await addRelease(db.app, '2.0.0');
  await addRollout(db.app, 'r', '2.0.0', { max_attempts: 1 });
  await service.tick();
  service.later(1);
  await service.fetch('d0');
  const report = (kind: string, payload: string) =>
    ingestReports(db.app, [bodyOf(`paku/devices/d0/ota/${kind}`, payload)], OTA_SENDERS, service.now);
  await report('progress', '{"state":"Downloading","percent":"45","speed":inf}');
  expect((await client.device('d0')).update).toMatchObject({ status: 'downloading', progress_percent: 45 });
  service.later(1);
  await report('result', '{"success":0,"result_code":"9","message":"Invalid');
  expect((await client.device('d0')).update).toMatchObject({ status: 'failed', is_open: false });
});

test('a progress message that cannot be read counts as a sign of life and is recorded', async () => {
  await addDevices(db.app, 1);
  await addRelease(db.app, '2.0.0');
  await addRollout(db.app, 'r', '2.0.0');
  await service.tick();
  service.later(1);
  const outcome = await ingestReports(
    db.app,
    [bodyOf('paku/devices/d0/ota/progress', '???')],
    OTA_SENDERS,
    service.now,
  );
  expect(outcome).toMatchObject({ updates: 1, rejected: 1 });
  expect((await client.device('d0')).rejected_message).toMatchObject({ beginning: '???' });
});
