import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { writeSecretsHeader } from '../../cli/commands/device/index.ts';
import { CertificateAuthority } from '../../local/kernel/index.ts';
import { Board } from './board.ts';
import { Compiler, missingTools } from './compile.ts';
import { arduinoFirmware, type Firmware, idfFirmware } from './firmware.ts';

// Boards run in real time.
vi.setConfig({ testTimeout: 240_000 });

const missing = missingTools();
const times = { PAKU_TRIAL_SECONDS: 1, PAKU_VALID_SECONDS: 60, PAKU_OFFLINE_SECONDS: 1 };
const boards: Board[] = [];
let identity: Parameters<typeof idfFirmware>[1];
const folder = mkdtempSync(join(tmpdir(), 'paku-ota-identity-'));
let compiler: Compiler;
beforeAll(async () => {
  compiler = new Compiler();
  const files = await (await CertificateAuthority.open(folder)).addDevice('ESP32-OFFLINE');
  const device = { deviceId: 'ESP32-OFFLINE', host: 'localhost', port: 1, caFile: join(folder, 'ca.pem'), ...files };
  writeSecretsHeader(device);
  identity = { ...device, model: 'esp32-s3' };
});
afterAll(async () => {
  compiler?.remove();
  await Promise.all(boards.map((board) => board.remove()));
  rmSync(folder, { recursive: true, force: true });
});

/** The partitions that a board starts from, one after the other, where there is no network that its builds know. */
async function slotsOf(firmware: Firmware, { update = false, boots = 3 } = {}): Promise<number[]> {
  const board = new Board(firmware.build({ version: '1.0.0' }), 'elsewhere');
  boards.push(board);
  if (update) board.select(firmware.build({ version: '1.1.0' }));
  board.powerOn();
  await expect.poll(() => board.boots.length, { timeout: 120_000 }).toBeGreaterThanOrEqual(boots);
  board.powerOff();
  return board.boots.slice(0, boots).map(({ slot }) => slot);
}

describe.skipIf(missing.length > 0)(`where no network is${missing.length > 0 ? ` (missing: ${missing})` : ''},`, () => {
  test.concurrent.each([
    ['the Arduino sketch', arduinoFirmware],
    ['the program for ESP-IDF, which hangs in its start_network()', idfFirmware],
  ])('%s restarts by itself; a new image goes back, a proven one stays', async (_, make) => {
    const firmware = make(compiler, identity, { times });
    const [proven, updated] = await Promise.all([slotsOf(firmware), slotsOf(firmware, { update: true })]);
    expect(proven).toEqual([0, 0, 0]);
    expect(updated).toEqual([1, 0, 0]);
  });

  test.concurrent('a sketch without verifyRollbackLater never goes back', async () => {
    const firmware = arduinoFirmware(compiler, identity, { times, verifiesLater: false });
    expect(await slotsOf(firmware, { update: true })).toEqual([1, 1, 1]);
  });
});
