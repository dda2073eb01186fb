import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { addLocalDevice } from '../../cli/commands/device/index.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';
import { Board } from './board.ts';
import { Compiler, missingTools } from './compile.ts';
import { arduinoFirmware, CRASHES_AT_START, CRASHES_ONCE_CONNECTED, type Firmware, idfFirmware } from './firmware.ts';

// Boards run in real time: they compile, download, restart, and wait for a network that never comes.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });
const WAIT_MS = 120_000;

const missing = missingTools();

let system: TestSystem;
beforeAll(async () => {
  if (missing.length === 0) system = await startTestSystem();
});
afterAll(() => system?.close());

/** The device is told the address of the broker, which mbedTLS 2.28 looks for among the DNS names of the certificate. */
const identityOf = async (deviceId: string, model: string) => ({
  ...(await addLocalDevice(deviceId, system.home)),
  model,
});

interface Update {
  readonly status: string;
  readonly attempt: number;
  readonly booted_at: Date | null;
  readonly completed_at: Date | null;
  readonly error_message: string | null;
}

const KINDS = [
  {
    deviceId: 'ESP32-20E955A0',
    model: 'arduino',
    firmware: arduinoFirmware,
  },
  {
    deviceId: 'ESP32-20E955A1',
    model: 'idf',
    firmware: idfFirmware,
  },
];

describe.skipIf(missing.length > 0).each(KINDS)(
  `the example for $model${missing.length > 0 ? ` (missing: ${missing})` : ''}`,
  ({ deviceId, model, firmware: makeFirmware }) => {
    let compiler: Compiler;
    let firmware: Firmware;
    let board: Board;
    beforeAll(async () => {
      compiler = new Compiler();
      firmware = makeFirmware(compiler, await identityOf(deviceId, model));
      board = new Board(firmware.build({ version: '1.0.0' }));
      board.powerOn();
    });
    afterAll(async () => {
      await board?.remove();
      compiler?.remove();
    });

    const deviceRuns = (version: string) =>
      system.until<{ last_status: Record<string, unknown> }>(
        `SELECT last_status FROM devices WHERE device_id = '${deviceId}' AND current_firmware_version = '${version}'`,
        undefined,
        WAIT_MS,
      );
    const updateTo = (version: string, condition: (update: Update) => boolean) =>
      system.until<Update>(
        `SELECT * FROM device_update_status WHERE device_id = '${deviceId}' AND firmware_version = '${version}'`,
        condition,
        WAIT_MS,
      );

    /** Uploads the build and rolls it out to this model. */
    async function release(version: string, image: Buffer): Promise<void> {
      await system.upload(`firmware/${version}/${model}.bin`, image);
      await system.until(`SELECT 1 FROM firmware_releases WHERE device_model = '${model}' AND version = '${version}'`);
      await system.database.query(
        `INSERT INTO rollout_configurations (name, device_model, firmware_version, failure_threshold)
         VALUES ('${model} ${version}', '${model}', '${version}', 1)`,
      );
      await system.runtime.tick();
    }

    test('reports its version, its uptime and why it started', async () => {
      const { last_status } = await deviceRuns('1.0.0');
      expect(last_status).toMatchObject({
        device_model: model,
        uptime_seconds: expect.any(Number),
        reset_reason: 'power_on',
      });
    });

    test('is updated, marks the image valid, and proves the update', async () => {
      await release('1.1.0', firmware.build({ version: '1.1.0' }));
      const { last_status } = await deviceRuns('1.1.0');
      expect(last_status).toMatchObject({ reset_reason: 'restart' });
      await updateTo('1.1.0', ({ booted_at }) => booted_at !== null);
      await expect.poll(() => board.read(), { timeout: WAIT_MS }).toMatchObject({ boot: 1, states: [2, 2] });
      await system.later(6);
      const update = await updateTo('1.1.0', ({ completed_at }) => completed_at !== null);
      expect(update).toMatchObject({ status: 'success', attempt: 1 });
    });

    test.each([
      ['crashes when it starts', { version: '1.2.0', fault: CRASHES_AT_START }],
      ['connects and then crashes', { version: '1.3.0', fault: CRASHES_ONCE_CONNECTED }],
      ['knows another Wi-Fi network, and restarts by itself', { version: '1.4.0', network: 'other' }],
    ])('goes back from a build that %s', async (_, build) => {
      const before = board.boots.length;
      await release(build.version, firmware.build(build));
      const update = await updateTo(build.version, ({ completed_at }) => completed_at !== null);
      expect(update).toMatchObject({ status: 'rolled_back', attempt: 1 });
      await deviceRuns('1.1.0');
      // The bad image was started once, on trial, and the one before again.
      expect(board.boots.slice(before)).toEqual([
        { slot: 0, state: 1 },
        { slot: 1, state: 2 },
      ]);
    });
  },
);
