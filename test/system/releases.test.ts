import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildImage } from '../../fleet/build-image.ts';
import { metricValues } from '../support/metrics.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

let system: TestSystem;
beforeAll(async () => {
  system = await startTestSystem();
});
afterAll(() => system?.close());

const rejection = (key: string) =>
  system.until<{ verdict: string; message: string }>(
    `SELECT verdict, message FROM rejected_uploads WHERE object_key = '${key}'`,
  );
const release = (model: string, version: string) =>
  system.until<Record<string, unknown>>(
    `SELECT * FROM firmware_releases WHERE device_model = '${model}' AND version = '${version}'`,
  );

test('each upload counts as rejected or not in the metric of the alarm', async () => {
  const counted = () => metricValues(system.home, 'RegisterRelease', 'RejectedUploads');
  await system.upload('firmware/1.0.0/counted.bin', Buffer.from('<html>'));
  await rejection('firmware/1.0.0/counted.bin');
  await expect.poll(counted).toEqual([1]);
  await system.upload('firmware/1.0.0/counted.bin', buildImage());
  await release('counted', '1.0.0');
  await expect.poll(counted).toEqual([1, 0]);
});

describe('an upload', () => {
  test('becomes a release with the data of the image and the metadata of the uploader', async () => {
    const image = buildImage({ version: '2.0.0' });
    await system.upload('firmware/2.0.0/esp32-s3.bin', image, { 'min-version': '1.5.0', changelog: 'Heater fixed' });
    expect(await release('esp32-s3', '2.0.0')).toMatchObject({
      chip: 'ESP32-S3',
      project_name: 'paku-core',
      app_version: '2.0.0',
      file_size: image.length,
      min_version: '1.5.0',
      changelog: 'Heater fixed',
      is_signed: false,
      warnings: [],
    });
  });

  test('of a registered version is rejected with other bytes and ignored with the same bytes', async () => {
    const image = buildImage({ version: '2.1.0' });
    await system.upload('firmware/2.1.0/esp32-s3.bin', image);
    const first = await release('esp32-s3', '2.1.0');
    await system.upload('firmware/2.1.0/esp32-s3.bin', image);
    await system.upload('firmware/2.1.0/esp32-s3.bin', buildImage({ version: '2.1.1' }));
    expect((await rejection('firmware/2.1.0/esp32-s3.bin')).verdict).toBe('VERSION_EXISTS');
    expect(await release('esp32-s3', '2.1.0')).toEqual(first);
    expect(
      await system.database.query(`SELECT 1 FROM rejected_uploads WHERE object_key LIKE '%/2.1.0/%'`),
    ).toHaveLength(1);
  });

  test('that embeds another version is registered with a warning', async () => {
    await system.upload('firmware/3.0.0/esp32-s3.bin', buildImage({ version: '2.9.9' }));
    const { warnings } = await release('esp32-s3', '3.0.0');
    expect((warnings as { code: string }[]).map(({ code }) => code)).toEqual(['OTHER_VERSION_INSIDE']);
  });

  test('for an ESP8266 model is an ESP8266 image', async () => {
    await system.upload('firmware/1.5.0/esp8266-wired-sensors.bin', buildImage({ chip: 'ESP8266' }));
    expect(await release('esp8266-wired-sensors', '1.5.0')).toMatchObject({ chip: 'ESP8266' });
  });

  test('determines the chip of a model whose name does not, and a later one for another chip is rejected', async () => {
    await system.upload('firmware/1.0.0/lilygo.bin', buildImage({ chip: 'ESP32-S3' }));
    await release('lilygo', '1.0.0');
    await system.upload('firmware/1.1.0/lilygo.bin', buildImage({ chip: 'ESP32-C3' }));
    expect(await rejection('firmware/1.1.0/lilygo.bin')).toEqual({
      verdict: 'WRONG_CHIP',
      message: 'the image is for ESP32-C3, model lilygo has ESP32-S3',
    });
  });

  test.each([
    ['firmware.bin', buildImage(), 'WRONG_PATH', 'firmware/{version}/{model}.bin'],
    ['firmware/1.0.0/esp32-c3.bin', buildImage({ chip: 'ESP32-S3' }), 'WRONG_CHIP', 'model esp32-c3 has ESP32-C3'],
    ['firmware/1.0.1/esp32-s3.bin', buildImage().subarray(0, 40_000), 'TRUNCATED_SEGMENT', 'cut short'],
    ['firmware/1.0.2/esp32-s3.bin', Buffer.from('<html>Not found</html>'), 'WEB_PAGE', 'web page'],
    ['firmware/1.0.3/esp32-s3.bin', Buffer.alloc(4096, 0xff), 'BLANK', 'the file is blank'],
    ['firmware/1.0.4/esp32-s3.bin', Buffer.alloc(0), 'EMPTY', 'empty'],
    ['firmware/1.0.5/esp32-s3.bin', Buffer.alloc(17 * 1024 * 1024, 0xe9), 'TOO_LARGE', '16777216'],
    ['firmware/1.0.6/esp32-s3.bin', buildImage({ descriptor: false }), 'NO_APP_DESCRIPTOR', 'allowWithoutDescriptor'],
  ])('%s is rejected, and the verdict has the reason', async (key, bytes, verdict, hint) => {
    await system.upload(key, bytes);
    const refused = await rejection(key);
    expect(refused.verdict).toBe(verdict);
    expect(refused.message).toContain(hint);
  });

  test('with an invalid min-version is rejected', async () => {
    await system.upload('firmware/4.0.0/esp32-s3.bin', buildImage({ version: '4.0.0' }), { 'min-version': 'two' });
    expect(await rejection('firmware/4.0.0/esp32-s3.bin')).toMatchObject({ verdict: 'BAD_METADATA' });
  });
});

interface Sample {
  readonly file: string;
  readonly size: number;
  readonly sha256: string;
  readonly expect: { readonly verdict: string };
  readonly parsed?: {
    readonly header?: { chip: string };
    readonly image_len?: number;
    readonly app_desc?: Record<string, string>;
  };
}

const folder = process.env.PAKU_OTA_FIRMWARE_SAMPLES ?? '';
const manifest = join(folder, 'manifest.json');
const samples = folder !== '' && existsSync(manifest) ? (JSON.parse(readFileSync(manifest, 'utf8')) as Sample[]) : [];

describe.skipIf(samples.length === 0)(
  'published images of other projects (in the folder PAKU_OTA_FIRMWARE_SAMPLES)',
  () => {
    const modelOf = ({ parsed }: Sample) => `${(parsed?.header?.chip ?? 'ESP32').toLowerCase()}`;

    test.each(samples.map((sample, index) => ({ ...sample, index })))(
      '$file has the verdict $expect.verdict',
      async (sample) => {
        const model = modelOf(sample);
        const version = `0.${sample.index}.0`;
        const key = `firmware/${version}/${model}.bin`;
        await system.upload(key, readFileSync(join(folder, sample.file)));
        if (sample.expect.verdict !== 'ACCEPT') {
          expect((await rejection(key)).verdict).toBe(sample.expect.verdict);
          return;
        }
        const { app_desc: description, header, image_len } = sample.parsed ?? {};
        expect(await release(model, version)).toMatchObject({
          checksum_sha256: sample.sha256,
          file_size: sample.size,
          chip: header?.chip,
          project_name: description?.project,
          app_version: description?.version,
          image: {
            imageBytes: image_len,
            descriptor: {
              idfVersion: description?.idf,
              elfSha256: description?.elf,
              time: description?.time,
              date: description?.date,
            },
          },
        });
      },
    );

    test('two of them are installed by virtual devices of their chips', async () => {
      const chosen = ['esp32s3-idf-hello_world.bin', 'esp32c3-idf-hello_world.bin'].map((file) =>
        samples.findIndex((sample) => sample.file === file),
      );
      await system.device({ deviceId: 'real-s3', model: 'esp32-s3', chip: 'ESP32-S3', firmwareVersion: '0.0.1' });
      await system.device({ deviceId: 'real-c3', model: 'esp32-c3', chip: 'ESP32-C3', firmwareVersion: '0.0.1' });
      await system.until('SELECT count(*)::integer AS n FROM devices', ({ n }: { n: number }) => n === 2);
      for (const [i, model] of ['esp32-s3', 'esp32-c3'].entries()) {
        await system.database.query(
          `INSERT INTO rollout_configurations (name, firmware_version, device_model) VALUES (:name, :version, :model)`,
          { name: `real ${model}`, version: `0.${chosen[i]}.0`, model },
        );
      }
      await system.runtime.tick();
      for (const deviceId of ['real-s3', 'real-c3']) {
        await system.until(
          `SELECT 1 FROM device_update_status WHERE device_id = '${deviceId}' AND booted_at IS NOT NULL`,
        );
      }
    });
  },
);
