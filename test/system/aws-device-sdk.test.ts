import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addLocalDevice } from '../../cli/commands/device/index.ts';
import { buildImage } from '../../fleet/build-image.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

/** A Python that has the package awsiotsdk; .ci/run makes one. */
const PYTHON = process.env.AWS_DEVICE_SDK_PYTHON ?? 'python3';
const isInstalled = spawnSync(PYTHON, ['-c', 'import awsiot.mqtt_connection_builder']).status === 0;
const DEVICE = new URL('aws-device.py', import.meta.url).pathname;

let system: TestSystem;
let device: ChildProcess | undefined;
beforeAll(async () => {
  if (isInstalled) system = await startTestSystem();
});
afterAll(async () => {
  device?.kill();
  await system?.close();
});

describe.skipIf(!isInstalled)(
  `the AWS IoT Device SDK for Python${isInstalled ? '' : ` (${PYTHON} does not have awsiotsdk)`}`,
  () => {
    test('connects over MQTT 3.1.1 and is updated', async () => {
      const settings = { ...(await addLocalDevice('python-1', system.home)), version: '1.0.0', model: 'esp32-s3' };
      device = spawn(PYTHON, [DEVICE, JSON.stringify(settings)], { stdio: ['ignore', 'inherit', 'inherit'] });
      await system.until(
        `SELECT 1 FROM devices WHERE device_id = 'python-1' AND online AND current_firmware_version = '1.0.0'`,
      );
      await system.upload('firmware/1.1.0/esp32-s3.bin', buildImage({ version: '1.1.0' }));
      await system.until(`SELECT 1 FROM firmware_releases WHERE version = '1.1.0'`);
      await system.database.query(
        `INSERT INTO rollout_configurations (name, firmware_version) VALUES ('python', '1.1.0')`,
      );
      await system.runtime.tick();
      await system.until(`SELECT 1 FROM device_update_status WHERE device_id = 'python-1' AND booted_at IS NOT NULL`);
      await system.later(6);
      const update = await system.until(
        `SELECT * FROM device_update_status WHERE device_id = 'python-1' AND completed_at IS NOT NULL`,
      );
      expect(update).toMatchObject({ status: 'success', attempt: 1, result_code: 0 });
    });
  },
);
