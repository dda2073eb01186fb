import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DRAFT, refusal, TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDevices, addRelease, addRollout } from '../support/rows.ts';
import { TestService } from '../support/service.ts';

let db: TestDatabase;
let service: TestService;
let api: TestApi;
let client: TestApi['client'];
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  service = new TestService(db.app, db.roles);
  api = new TestApi(db.roles.control, () => service.now);
  client = api.client;
});

describe('releases', () => {
  test('lists releases with the number of devices that run them and returns their image', async () => {
    await addDevices(db.app, 2, { version: '2.0.0' });
    expect((await client.releases()).items).toMatchObject([{ version: '2.0.0', devices: 2, revoked_at: null }]);
    expect(await client.release('esp32-s3', '2.0.0')).toMatchObject({ chip: 'ESP32-S3', image: {} });
    expect(await refusal(client.release('esp32-s3', '9'))).toMatchObject({ status: 404 });
  });

  test('lists the rollouts that send a release, as their own or as a stepping stone', async () => {
    await addRollout(db.app, 'own', '2.0.0');
    await addRollout(db.app, 'stone', '3.0.0', { stepping_stones: ['2.0.0'] });
    await addRollout(db.app, 'other', '3.0.0');
    await addRollout(db.app, 'of another model', '2.0.0', { device_model: 'esp32-c3' });
    const { items } = await client.rollouts({ model: 'esp32-s3', version: '2.0.0' });
    expect(items.map(({ name }) => name)).toEqual(['stone', 'own']);
  });

  test('hands an override of a refusal over with the upload', async () => {
    const upload = { device_model: 'esp32-s3', version: '3.0.0', allow: ['OTHER_PROJECT' as const] };
    expect(await client.startUpload(upload)).toMatchObject({ headers: { allow: 'OTHER_PROJECT' } });
  });

  test('starts an upload with a URL and reports its outcome', async () => {
    const started = await client.startUpload({ device_model: 'esp32-s3', version: '3.0.0', min_version: '1.0.0' });
    expect(started).toEqual({
      upload_url: 'https://bucket.example/firmware/3.0.0/esp32-s3.bin?signed',
      headers: { 'min-version': '1.0.0', 'upload-token': expect.stringMatching(/^[A-Za-z0-9_-]{43}$/) },
      object_key: 'firmware/3.0.0/esp32-s3.bin',
    });
    expect(await client.startUpload({ device_model: 'esp32-s3', version: '3.0.0', file: 'signature' })).toMatchObject({
      object_key: 'firmware/3.0.0/esp32-s3.bin.sig',
    });
    const since = '2026-03-01T00:00:00.000Z';
    expect(await client.uploadOutcome('esp32-s3', '3.0.0', { since })).toMatchObject({ state: 'waiting' });
    await db.app.query(
      `INSERT INTO rejected_uploads (object_key, object_version, file_size, verdict, message, uploaded_at)
       VALUES ('firmware/3.0.0/esp32-s3.bin', 'v1', 5, 'TRUNCATED', 'cut off', '2026-03-02T00:00:00Z')`,
    );
    expect(await client.uploadOutcome('esp32-s3', '3.0.0', { since })).toMatchObject({
      state: 'rejected',
      rejection: { verdict: 'TRUNCATED' },
    });
    expect((await client.rejectedUploads()).items).toHaveLength(1);
    await addRelease(db.app, '3.0.0');
    const sha256 = 'a'.repeat(64);
    expect(
      await client.uploadOutcome('esp32-s3', '3.0.0', { since: '2026-03-03T00:00:00.000Z', sha256 }),
    ).toMatchObject({ state: 'registered', release: { version: '3.0.0' } });
    // The second upload happens within the same second as the rejected one.
    expect(await client.uploadOutcome('esp32-s3', '3.0.0', { since, sha256 })).toMatchObject({ state: 'registered' });
    expect(await client.uploadOutcome('esp32-s3', '3.0.0', { since, sha256: 'b'.repeat(64) })).toMatchObject({
      state: 'rejected',
    });
  });

  test('rejects an upload with an invalid name at once', async () => {
    expect(await refusal(client.startUpload({ device_model: '../x', version: '3.0.0' }))).toMatchObject({
      status: 400,
    });
    expect(
      await refusal(client.startUpload({ device_model: 'esp32-s3', version: '3.0.0', changelog: 'a\nb' })),
    ).toMatchObject({ errors: [{ field: 'changelog' }] });
  });

  test('verifies an upload again on request', async () => {
    await client.rescanUpload('firmware/3.0.0/esp32-s3.bin');
    expect(api.rescanned).toEqual(['firmware/3.0.0/esp32-s3.bin']);
    expect(await refusal(client.rescanUpload('firmware/3.0.0/missing.bin'))).toMatchObject({ status: 404 });
    expect(await refusal(client.rescanUpload('other'))).toMatchObject({ status: 400 });
  });

  test('counts devices that report the version with a leading v', async () => {
    await addDevices(db.app, 1, { version: '2.0.0' });
    await addDevices(db.app, 2, { version: 'v2.0.0', prefix: 'v' });
    expect(await client.release('esp32-s3', '2.0.0')).toMatchObject({ devices: 3 });
  });

  test('stops sending a revoked release: its rollouts halt and its links stop working', async () => {
    await addDevices(db.app, 3);
    service.absent.add('d2');
    await client.createRollout(DRAFT);
    await service.tick();
    expect(await client.revokeRelease('esp32-s3', '2.0.0', 'bricks')).toMatchObject({
      revoked_reason: 'bricks',
      recoverable: [{ rollout_name: 'r', firmware_version: '2.0.0', state: 'active', devices: 2 }],
    });
    expect(await service.fetch('d0')).toBe('over');
    service.absent.clear();
    await service.status('d2', '1.0.0');
    expect(service.sent.map(({ deviceId }) => deviceId)).not.toContain('d2');
    await service.tick();
    expect(await client.rollout('r')).toMatchObject({
      state: 'halted',
      paused_reason: 'release 2.0.0 was revoked: bricks',
    });
    expect(await refusal(client.createRollout({ ...DRAFT, name: 'again' }))).toMatchObject({
      errors: [{ field: 'firmware_version', message: 'release 2.0.0 was revoked: bricks' }],
    });
  });
});
