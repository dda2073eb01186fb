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

test('an operator does the whole job by the API: upload, preview, roll out, watch it complete', async () => {
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

test('a rejected upload is told with its verdict, and verified once more on demand', async () => {
  const outcome = await upload('1.2.0', new Uint8Array(100));
  const { rejection } = await eventually(outcome, ({ state }) => state !== 'waiting');
  expect(rejection?.verdict).toBeTruthy();
  expect(await client.rescanUpload('firmware/1.2.0/esp32-s3.bin')).toEqual({
    object_key: 'firmware/1.2.0/esp32-s3.bin',
  });
  await system.runtime.idle();
  expect((await client.rejectedUploads()).items).toHaveLength(1);
});

test('who does not sign, or signs with another key, learns nothing', async () => {
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
