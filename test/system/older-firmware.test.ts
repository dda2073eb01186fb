import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiClient } from '../../api/client.ts';
import { signedFetch } from '../../api/signed-fetch.ts';
import { buildImage } from '../../fleet/build-image.ts';
import { GENERATIONS } from '../../fleet/generations.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

let system: TestSystem;
let api: ApiClient;
beforeAll(async () => {
  system = await startTestSystem();
  const { region, api: endpoint } = system.runtime.endpoints;
  api = new ApiClient(
    endpoint.url,
    signedFetch(region, endpoint, () => system.now()),
  );
});
afterAll(() => system?.close());

const connect = (deviceId: string) =>
  system.device({ ...GENERATIONS['1.1.0'], deviceId, model: deviceId.toLowerCase(), firmwareVersion: '1.1.0' });

const heard = (deviceId: string, version: string) =>
  system.until(
    `SELECT current_firmware_version FROM devices WHERE device_id = '${deviceId}' AND current_firmware_version = '${version}'`,
  );

test('a device that boots an image whose checksum did not match needs attention, and its update stays failed', async () => {
  const device = await connect('UNVERIFIED');
  await heard('UNVERIFIED', '1.1.0');
  await system.upload('firmware/1.5.0/unverified.bin', buildImage({ version: '1.5.0' }));
  const { object_key: key } = await system.until<{ object_key: string }>(
    `SELECT object_key FROM firmware_releases WHERE device_model = 'unverified'`,
  );
  // Another image in the place of the verified one: the device fetches bytes that the command does not name.
  await system.upload(key, buildImage({ version: '1.5.0', codeBytes: 70_000 }));
  await system.database.query(
    `INSERT INTO rollout_configurations (name, firmware_version, device_model, stages, max_attempts)
     VALUES ('unverified', '1.5.0', 'unverified', '[]', 1)`,
  );
  await system.runtime.tick();
  const update = `SELECT * FROM device_update_status WHERE device_id = 'UNVERIFIED'`;
  await system.until(update, ({ result_code }: { result_code: number | null }) => result_code === 3);

  await device.stop();
  device.start();
  await heard('UNVERIFIED', '1.5.0');

  await system.until(update, ({ unverified_at }: { unverified_at: Date | null }) => unverified_at !== null);
  expect(await system.until(update)).toMatchObject({ status: 'failed', late_success_at: null });
  const { attention } = await api.fleet();
  expect(attention).toContainEqual(
    expect.objectContaining({ kind: 'unverified_bytes', message: expect.stringContaining('UNVERIFIED') }),
  );
});

test('a device without a last will that falls silent is presumed offline by its own habit', async () => {
  const device = await connect('SILENT');
  await heard('SILENT', '1.1.0');
  for (let n = 0; n < 8; n++) await system.later(1);
  expect((await api.device('SILENT')).presence).toMatchObject({ state: 'online' });

  await device.stop();
  for (let n = 0; n < 5; n++) await system.later(5);

  const { presence } = await api.device('SILENT');
  expect(presence).toMatchObject({
    state: 'presumed_offline',
    text: expect.stringMatching(/^last heard 2\d min ago, usually every \d+ s/),
  });
});
