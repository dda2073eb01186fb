import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildImage } from '../../fleet/build-image.ts';
import { CapturedFirmware } from '../support/captured-firmware.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

const NEXT_VERSION = '1.5.0';

let system: TestSystem;
beforeAll(async () => {
  system = await startTestSystem();
  await system.upload(`firmware/${NEXT_VERSION}/esp32-s3.bin`, buildImage({ version: NEXT_VERSION }));
  await system.until(`SELECT 1 FROM firmware_releases WHERE version = '${NEXT_VERSION}'`);
});
afterAll(() => system?.close());

describe.each(['1.1.0', '1.4.2'])('with default settings, unmodified firmware %s', (firmware) => {
  const deviceId = `ESP32-FIELD${firmware.replaceAll('.', '')}`;

  test('stays connected after everything that it does at a connect, and is registered', async () => {
    const window = await new CapturedFirmware(system, firmware, deviceId).openWindow();
    await system.until(`SELECT 1 FROM devices WHERE device_id = '${deviceId}'
      AND current_firmware_version = '${firmware}' AND device_model = 'esp32-s3'`);
    expect(window.isConnected).toBe(true);
    expect(system.log.filter((line) => line.includes(deviceId))).toEqual([]);
    await window.close();
  });

  test('is updated within a minute of its window', async () => {
    const device = new CapturedFirmware(system, firmware, deviceId);
    await system.database.query(
      `INSERT INTO rollout_configurations (name, firmware_version, stages, target_type, target_filter)
       VALUES (:firmware, :version, '[]', 'specific', CAST(:filter AS jsonb))`,
      { firmware, version: NEXT_VERSION, filter: JSON.stringify({ device_ids: [deviceId] }) },
    );
    await system.runtime.tick();
    const openedAt = performance.now();
    const window = await device.openWindow();
    await window.carryOut(await window.orClosed(window.command));
    device.version = NEXT_VERSION;
    const next = await device.openWindow();
    await system.until(`SELECT 1 FROM device_update_status WHERE device_id = '${deviceId}'
      AND booted_at IS NOT NULL AND result_code = 0 AND attempt = 1`);
    expect(performance.now() - openedAt).toBeLessThan(60_000);
    await next.close();
  });
});
