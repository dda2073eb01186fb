import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildImage } from '../../fleet/build-image.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

let system: TestSystem;
beforeAll(async () => {
  system = await startTestSystem();
});
afterAll(() => system?.close());

test('a status registers a device, an upload becomes a release, a row sends a command, and the device runs the new version', async () => {
  await system.device({ deviceId: 'ESP32-20E955A0', firmwareVersion: '1.0.0' });
  await system.until(`SELECT 1 FROM devices WHERE device_id = 'ESP32-20E955A0' AND current_firmware_version = '1.0.0'`);

  await system.upload('firmware/1.2.0/esp32-s3.bin', buildImage({ chip: 'ESP32-S3', version: '1.2.0' }));
  await system.until(`SELECT 1 FROM firmware_releases WHERE version = '1.2.0'`);

  await system.database.query(
    `INSERT INTO rollout_configurations (name, firmware_version, device_model, target_type, target_filter,
       rollout_percentage, is_active)
     VALUES ('first', '1.2.0', 'esp32-s3', 'all', '{}', 100, true)`,
  );
  await system.runtime.tick();

  await system.until(`SELECT 1 FROM devices WHERE device_id = 'ESP32-20E955A0' AND current_firmware_version = '1.2.0'`);
  const update = await system.until<{ status: string; attempt: number }>(
    `SELECT status, attempt FROM device_update_status WHERE device_id = 'ESP32-20E955A0' AND booted_at IS NOT NULL`,
  );
  expect(update).toEqual({ status: 'success', attempt: 1 });
});
