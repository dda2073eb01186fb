import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parseStatusBatch, storeStatusBatch } from '../../../lambdas/ingest-status/status-batch.ts';
import { DRAFT, refusal, TestApi } from '../../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { STATUS_SENDERS } from '../../support/senders.ts';
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

/** Sends a status of a device and moves the clock by a minute. */
async function send(device: string, said: object): Promise<void> {
  const body = JSON.stringify({
    payload: Buffer.from(JSON.stringify(said)).toString('base64'),
    topic: `paku/edge/${device}/status`,
    received_at: service.now.getTime(),
    client_id: device,
  });
  await storeStatusBatch(db.app, parseStatusBatch([{ body }], STATUS_SENDERS, service.now), service.now);
  service.later(1);
}

const A = 'A0:B7:65:20:E9:55';
const B = 'A0:B7:65:20:E9:56';
const timelineOf = async (device: string) =>
  (await client.deviceTimeline(device)).items.map(({ event, detail }) => ({ event, detail }));
const concerns = async () =>
  (await client.fleet()).attention.filter(({ kind }) => /^(identity_changed|mac_shared)$/.test(kind));

describe('a device that changes its identity', () => {
  test('by another model is in its timeline and needs attention', async () => {
    await send('van-1', { firmware_version: '1.0.0', device_model: 'esp32-s3' });
    await send('van-1', { firmware_version: '1.0.0', device_model: 'esp32-c3' });
    expect(await timelineOf('van-1')).toEqual([
      { event: 'model_changed', detail: { from: 'esp32-s3', to: 'esp32-c3' } },
    ]);
    expect(await concerns()).toEqual([
      {
        kind: 'identity_changed',
        message:
          'Device van-1 reports model esp32-c3 instead of esp32-s3: nothing is sent to it until an operator accepts the change',
        link: '/devices/van-1',
      },
    ]);
    await send('van-1', { device_model: 'esp32-s3' });
    expect(await concerns()).toEqual([]);
  });

  test('by another MAC address is in its timeline', async () => {
    await send('van-1', { mac: A });
    await send('van-1', { mac: B });
    expect(await timelineOf('van-1')).toEqual([{ event: 'mac_changed', detail: { from: A, to: B } }]);
  });

  test('by another id with the same MAC address is in its timeline, and both devices show it', async () => {
    await send('van-1', { mac: A });
    await send('van-2', { mac: A });
    expect(await timelineOf('van-2')).toEqual([{ event: 'mac_shared', detail: { mac: A, with: ['van-1'] } }]);
    expect((await client.device('van-1')).mac_shared_with).toEqual(['van-2']);
    expect((await client.device('van-2')).mac_shared_with).toEqual(['van-1']);
    expect((await concerns())[0]?.message).toBe(`Device van-2 reports the MAC address ${A}, as does van-1`);
  });

  test('by another id is named where the device of the old id is explained', async () => {
    await send('van-1', { firmware_version: '1.0.0', mac: A });
    await addRelease(db.app, '2.0.0');
    await client.createRollout({ ...DRAFT, is_active: true });
    expect((await client.explain('van-1', {})).next).not.toContain('MAC address');
    await send('van-2', { firmware_version: '2.0.0', mac: A });
    expect((await client.explain('van-1', {})).next).toMatch(
      /; van-2 reports its MAC address too: it may be this device under another id$/,
    );
  });

  test.each([
    ['the first model that it reports', [{ firmware_version: '1.0.0' }, { device_model: 'esp32-c3' }]],
    ['the same model in other letters', [{ device_model: 'ESP32-S3' }, { device_model: 'esp32-s3' }]],
    ['the same MAC address in another notation', [{ mac: A }, { mac: 'a0b76520e955' }]],
    ['a status without model and MAC address', [{ device_model: 'esp32-c3', mac: A }, { uptime_seconds: 5 }]],
  ])('is not noticed for %s', async (_, statuses) => {
    for (const status of statuses) await send('van-1', status);
    expect(await timelineOf('van-1')).toEqual([]);
    expect(await concerns()).toEqual([]);
  });

  test('with each status, as two boards with one id do, is recorded five times an hour', async () => {
    for (let n = 0; n < 10; n++) await send('van-1', { mac: n % 2 === 0 ? A : B });
    expect(await timelineOf('van-1')).toHaveLength(5);
    service.later(61);
    await send('van-1', { mac: A });
    expect(await timelineOf('van-1')).toHaveLength(6);
  });
});

describe('a model is compared without regard to case', () => {
  test('between device, release, rollout by SQL, and target filter', async () => {
    await send('van-1', { firmware_version: '1.0.0', device_model: 'ESP32-C3' });
    expect(await client.device('van-1')).toMatchObject({
      device_model: 'esp32-c3',
      last_status: { device_model: 'ESP32-C3' },
    });
    await addRelease(db.app, '2.0.0', { model: 'esp32-c3' });
    await addRollout(db.app, 'by SQL', '2.0.0', { device_model: 'Esp32-C3', target_filter: { models: ['ESP32-C3'] } });
    expect(await service.tick()).toEqual(['van-1']);
  });

  test('in the API', async () => {
    await addDevices(db.app, 1, { model: 'van' });
    await addRelease(db.app, '2.0.0', { model: 'van' });
    await client.createRollout({ ...DRAFT, device_model: 'Van' });
    expect((await client.rollout('r')).device_model).toBe('van');
    expect((await client.devices({ model: 'Van' })).items).toHaveLength(1);
    expect(await client.release('Van', '2.0.0')).toMatchObject({ device_model: 'van' });
    expect(await service.tick()).toEqual(['d0']);
  });

  test('and a similar model or group is named where there is none of that name', async () => {
    await addDevices(db.app, 1, { model: 'van' });
    await addRelease(db.app, '2.0.0', { model: 'van-2' });
    await client.changeGroup('Beta', { add: ['d0'] });
    const draft = { ...DRAFT, device_model: 'van_2' };
    expect((await refusal(client.createRollout(draft))).detail).toContain('did you mean van-2?');
    const groups = { ...DRAFT, device_model: 'van-2', target_type: 'group' as const };
    const preview = await client.previewRollout({ ...groups, target_filter: { groups: ['beta', 'Beta', 'gamma'] } });
    expect(preview.warnings).toEqual([
      { code: 'UNKNOWN_GROUP', message: 'no device is in the group beta; did you mean Beta?' },
      { code: 'UNKNOWN_GROUP', message: 'no device is in the group gamma' },
    ]);
    const stages = [{ group: 'Beta' }, { group: 'site-s10' }, { percentage: 100 }];
    expect((await client.previewRollout({ ...draft, device_model: 'van-2', stages })).warnings).toEqual([
      { code: 'UNKNOWN_GROUP', message: 'no device is in the group site-s10' },
    ]);
  });
});
