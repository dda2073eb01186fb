import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiClient } from '../../api/client.ts';
import { signedFetch } from '../../api/signed-fetch.ts';
import { buildImage } from '../../fleet/build-image.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

let system: TestSystem;
let client: ApiClient;
beforeAll(async () => {
  system = await startTestSystem();
  const { api, region, s3 } = system.runtime.endpoints;
  client = new ApiClient(api.url, signedFetch(region, s3));
});
afterAll(() => system?.close());

async function upload(version: string, image: Uint8Array) {
  const since = new Date().toISOString();
  const { upload_url: url, headers } = await client.startUpload({
    device_model: 'esp32-s3',
    version,
    changelog: 'new',
  });
  const put = await fetch(url, { method: 'PUT', headers, body: image });
  expect(put.status).toBe(200);
  const sha256 = createHash('sha256').update(image).digest('hex');
  return async () => client.uploadOutcome('esp32-s3', version, { since, sha256 });
}

async function eventually<T>(look: () => Promise<T>, isIt: (value: T) => boolean): Promise<T> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const value = await look();
    if (isIt(value)) return value;
    if (Date.now() > deadline) throw new Error(`waited 20 s; last: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test('an operator uploads, previews, rolls out and watches the rollout complete with the API', async () => {
  await system.device({ deviceId: 'van-1' });
  await eventually(
    () => client.devices({ search: 'van' }),
    ({ items }) => items.length === 1,
  );
  const outcome = await upload('1.1.0', buildImage({ version: '1.1.0' }));
  const { release } = await eventually(outcome, ({ state }) => state !== 'waiting');
  expect(release).toMatchObject({ version: '1.1.0', chip: 'ESP32-S3', changelog: 'new' });

  const draft = { name: 'to 1.1', firmware_version: '1.1.0', device_model: 'esp32-s3', probation_minutes: 0 };
  expect(await client.previewRollout(draft)).toMatchObject({ matching: 1, will_be_updated: 1, will_not: [] });
  await client.createRollout(draft);
  expect(await client.tick()).toMatchObject({ ran: true });
  await eventually(
    () => client.device('van-1'),
    ({ current_firmware_version: version }) => version === '1.1.0',
  );
  const done = await eventually(
    async () => {
      await client.tick();
      return client.rollout('to 1.1');
    },
    ({ state }) => state === 'completed',
  );
  expect(done).toMatchObject({ succeeded: 1, failed: 0 });
  expect(await client.explain('van-1')).toMatchObject({ rule: 'runs 1.1.0' });
  expect((await client.info()).caller).toContain('arn:aws:iam::');
});

const LOCAL_PUT = { put_by: '000000000000', put_from: '127.0.0.1' };

test('a release names the operator who asked for the upload, and a rejected upload does, too', async () => {
  const { caller } = await client.info();
  const outcome = await upload('3.0.0', buildImage({ version: '3.0.0' }));
  await eventually(outcome, ({ state }) => state === 'registered');
  expect(await client.release('esp32-s3', '3.0.0')).toMatchObject({ requested_by: caller, ...LOCAL_PUT });

  const bad = await upload('3.0.1', Buffer.from('<html>'));
  const { rejection } = await eventually(bad, ({ state }) => state === 'rejected');
  expect(rejection).toMatchObject({ requested_by: caller, ...LOCAL_PUT });
  const [first] = (await client.rejectedUploads()).items;
  await client.rescanUpload('firmware/3.0.1/esp32-s3.bin');
  await system.runtime.idle();
  expect((await client.rejectedUploads()).items[0]).toEqual(first);
});

test('an object that was put into S3 directly names its account and address, and no operator', async () => {
  await system.upload('firmware/3.1.0/esp32-s3.bin', buildImage({ version: '3.1.0' }));
  const release = await eventually(
    () => client.release('esp32-s3', '3.1.0').catch(() => undefined),
    (found) => found !== undefined,
  );
  expect(release).toMatchObject({ requested_by: null, ...LOCAL_PUT });
});

test('the token of an upload names its operator for one object: not at another key, not for other bytes', async () => {
  const started = await client.startUpload({ device_model: 'esp32-s3', version: '3.2.0' });
  const token = started.headers['x-amz-meta-upload-token'] ?? '';
  expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
  const refused = await fetch(started.upload_url, {
    method: 'PUT',
    headers: { ...started.headers, 'x-amz-meta-upload-token': 'x'.repeat(43) },
    body: buildImage({ version: '3.2.0' }),
  });
  expect(refused.status).toBe(403);
  await system.upload('firmware/3.3.0/esp32-s3.bin', buildImage({ version: '3.3.0' }), { 'upload-token': token });
  const put = (body: Uint8Array) => fetch(started.upload_url, { method: 'PUT', headers: started.headers, body });
  await put(buildImage({ version: '3.2.0' }));
  await eventually(
    () => client.release('esp32-s3', '3.2.0').catch(() => undefined),
    (found) => found !== undefined,
  );
  await put(buildImage({ version: '3.2.0', project: 'other' }));
  await system.runtime.idle();
  const { caller } = await client.info();
  expect(await client.release('esp32-s3', '3.3.0')).toMatchObject({ requested_by: null });
  expect(await client.release('esp32-s3', '3.2.0')).toMatchObject({ requested_by: caller });
  expect((await client.rejectedUploads()).items[0]).toMatchObject({ verdict: 'VERSION_EXISTS', requested_by: null });
});

test('a rejected upload is listed with its verdict, and verified again on demand', async () => {
  const outcome = await upload('1.2.0', new Uint8Array(100));
  const { rejection } = await eventually(outcome, ({ state }) => state !== 'waiting');
  expect(rejection?.verdict).toBeTruthy();
  expect(await client.rescanUpload('firmware/1.2.0/esp32-s3.bin')).toEqual({
    object_key: 'firmware/1.2.0/esp32-s3.bin',
  });
  await system.runtime.idle();
  expect((await client.rejectedUploads()).items.filter(({ object_key: key }) => key.includes('/1.2.0/'))).toHaveLength(
    1,
  );
});

test('unsigned requests and requests with another key are refused without details', async () => {
  const { api, region, s3 } = system.runtime.endpoints;
  expect((await fetch(`${api.url}/v1/devices`)).status).toBe(403);
  const stranger = new ApiClient(api.url, signedFetch(region, { ...s3, secretAccessKey: 'x'.repeat(40) }));
  await expect(stranger.devices()).rejects.toMatchObject({ problem: { status: 403 } });
});

test('dead letters are counted', async () => {
  expect((await client.deadLetters()).items).toEqual([
    { queue: 'status', messages: 0 },
    { queue: 'ota', messages: 0 },
    { queue: 'upload', messages: 0 },
    { queue: 'dispatch', messages: 0 },
  ]);
});
