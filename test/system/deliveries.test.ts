import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildImage } from '../../fleet/build-image.ts';
import { synthesize } from '../../local/start/index.ts';
import { GrantRecorder } from '../support/grant-recorder.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

const chip = 'ESP32-S3';
const MODELS = {
  'small-buffers': { chip, delivery: 'direct' },
  'large-packets': { chip, delivery: 'presigned', packetLimitBytes: 4_096 },
  'small-flash': { chip, otaPartitionBytes: 50_000 },
};
const assembly = mkdtempSync(join(tmpdir(), 'paku-ota-assembly-'));

const grants = new GrantRecorder();
let system: TestSystem;
beforeAll(async () => {
  await synthesize(assembly, { models: MODELS });
  system = await startTestSystem(assembly, {}, undefined, grants);
});
afterAll(async () => {
  await system?.close();
  rmSync(assembly, { recursive: true, force: true });
});

async function rollOut(model: string, version: string, packetLimit = 256): Promise<string[]> {
  const links: string[] = [];
  const device = await system.device({ deviceId: `dev-${model}`, model, packetLimit });
  device.on('state', (event) => event.kind === 'command' && links.push(event.command.url));
  await system.until(`SELECT 1 FROM devices WHERE device_id = 'dev-${model}'`);
  await system.upload(`firmware/${version}/${model}.bin`, buildImage({ version }));
  await system.until(`SELECT 1 FROM firmware_releases WHERE device_model = '${model}'`);
  await system.database.query(
    'INSERT INTO rollout_configurations (name, firmware_version, device_model) VALUES (:model, :version, :model)',
    { model, version },
  );
  await system.runtime.tick();
  return links;
}

const confirmed = (model: string) =>
  system.until(`SELECT 1 FROM device_update_status WHERE device_id = 'dev-${model}' AND booted_at IS NOT NULL`);

describe('the delivery of images to devices of a model', () => {
  test('direct: the link returns the image or a range of it', async () => {
    const links = await rollOut('small-buffers', '1.1.0');
    await system.until(
      `SELECT 1 FROM device_update_status WHERE device_id = 'dev-small-buffers' AND acknowledged_at IS NOT NULL`,
    );
    const image = buildImage({ version: '1.1.0' });
    const link = links[0] ?? '';
    const whole = await fetch(link, { redirect: 'manual' });
    expect([whole.status, whole.headers.get('content-length')]).toEqual([200, String(image.length)]);
    const range = await fetch(link, { headers: { range: 'bytes=100-199' } });
    expect([range.status, range.headers.get('content-range')]).toEqual([206, `bytes 100-199/${image.length}`]);
    expect(Buffer.from(await range.arrayBuffer())).toEqual(image.subarray(100, 200));
    await confirmed('small-buffers');
  });

  test('presigned: the command contains the S3 URL', async () => {
    const links = await rollOut('large-packets', '1.1.0', 4_096);
    await confirmed('large-packets');
    expect(links[0]).toContain('X-Amz-Signature=');
  });

  test('an image that is larger than the OTA partition of the model is rejected', async () => {
    await system.upload('firmware/1.1.0/small-flash.bin', buildImage({ version: '1.1.0' }));
    const { verdict } = await system.until<{ verdict: string }>(
      `SELECT verdict FROM rejected_uploads WHERE object_key LIKE '%small-flash%'`,
    );
    expect(verdict).toBe('LARGER_THAN_PARTITION');
  });
});

test('a command that exceeds the packet limit is not sent, and its update fails with the reason', async () => {
  const version = `1.1.0-${'long'.repeat(14)}`;
  const links = await rollOut('esp32-s3-with-a-long-name', version);
  const { status, error_message, attempt } = await system.until<{
    status: string;
    error_message: string;
    attempt: number;
  }>(
    `SELECT * FROM device_update_status WHERE device_id = 'dev-esp32-s3-with-a-long-name' AND completed_at IS NOT NULL`,
  );
  expect({ status, attempt, links }).toEqual({ status: 'failed', attempt: 0, links: [] });
  expect(error_message).toMatch(/^the command needs a packet of \d+ bytes, this model accepts 256/);
});

test('a link ends with its update, and is invalid with one character changed', async () => {
  const links = await rollOut('esp32-s3-plain', '1.1.0');
  await confirmed('esp32-s3-plain');
  const link = links[0] ?? '';
  expect((await fetch(link, { redirect: 'manual' })).status).toBe(302);
  await system.database.query(
    `UPDATE device_update_status SET completed_at = now() WHERE device_id = 'dev-esp32-s3-plain'`,
  );
  expect((await fetch(link, { redirect: 'manual' })).status).toBe(410);
  expect((await fetch(`${link.slice(0, -1)}${link.endsWith('A') ? 'Q' : 'A'}`, { redirect: 'manual' })).status).toBe(
    404,
  );
});

test('dispatch uses the permission that presigned delivery adds', () => {
  for (const grant of ['DispatchRole s3:GetObject firmwarebucket/releases/*']) {
    expect(grants.all).toContain(grant);
    expect(grants.unused).not.toContain(grant);
  }
});
