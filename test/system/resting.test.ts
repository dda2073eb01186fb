import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiClient } from '../../api/client.ts';
import { signedFetch } from '../../api/signed-fetch.ts';
import { buildImage } from '../../fleet/build-image.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

/** Statements of functions; what this test itself asks is not counted. */
let statements = 0;
let system: TestSystem;
let client: ApiClient;
beforeAll(async () => {
  const faults = {
    onCall({ service, caller }: { service: string; caller: string }) {
      if (service === 'rds-data' && caller !== 'operator') statements++;
      return undefined;
    },
  };
  system = await startTestSystem(undefined, faults, { IDLE_SWEEP_MINUTES: '60' });
  const { region, s3, api } = system.runtime.endpoints;
  client = new ApiClient(
    api.url,
    signedFetch(region, s3, () => system.now()),
  );
  await system.device({ deviceId: 'ESP32-VAN', heartbeatSeconds: 60 });
  await system.device({ deviceId: 'ESP32-CABIN', mac: 'A0:B7:65:20:E9:56', heartbeatSeconds: 60 });
  await system.until('SELECT count(*)::integer AS n FROM devices', ({ n }: { n: number }) => n === 2);
});
afterAll(() => system?.close());

/** The minutes of an hour, each with its heartbeats and its tick. @returns in how many of them the database was asked */
async function minutesAwake(minutes: number): Promise<number> {
  let awake = 0;
  for (let minute = 0; minute < minutes; minute++) {
    const before = statements;
    await system.later(1);
    if (statements > before) awake++;
  }
  return awake;
}

const lastSeen = async (device: string) => {
  const [row] = await system.database.query<{ seen: Date }>(
    'SELECT last_seen AS seen FROM devices WHERE device_id = :device',
    { device },
  );
  return row?.seen.getTime() ?? 0;
};
const minutesSince = (time: number) => (system.now().getTime() - time) / 60_000;

describe('with nothing to do and devices that report every minute', () => {
  test('the database is left alone for at least 50 minutes of every hour, and last_seen is true to a sweep', async () => {
    await minutesAwake(8);
    expect(await client.fleet()).toMatchObject({ idle_since: expect.any(String) });
    expect(await minutesAwake(60)).toBeLessThanOrEqual(10);
    expect(minutesSince(await lastSeen('ESP32-VAN'))).toBeLessThan(66);
  });

  test('a rollout that is made by the API starts within a minute, and runs to its end', async () => {
    await system.upload('firmware/1.1.0/esp32-s3.bin', buildImage({ version: '1.1.0', codeBytes: 4_000 }));
    await system.until(`SELECT 1 FROM firmware_releases WHERE version = '1.1.0'`);
    await minutesAwake(8);
    expect((await client.fleet()).idle_since).not.toBeNull();
    await client.createRollout({
      name: 'r',
      firmware_version: '1.1.0',
      device_model: 'esp32-s3',
      stages: [],
      probation_minutes: 0,
    });
    await system.later(1);
    await system.until(
      `SELECT count(*)::integer AS n FROM devices WHERE current_firmware_version = '1.1.0'`,
      ({ n }: { n: number }) => n === 2,
    );
    await minutesAwake(3);
    expect(await client.rollout('r')).toMatchObject({ state: 'completed', succeeded: 2 });
  });

  test('what is new is heard at once, and has the orchestrator look', async () => {
    await minutesAwake(8);
    expect((await client.fleet()).idle_since).not.toBeNull();
    await system.device({ deviceId: 'ESP32-NEW', mac: 'A0:B7:65:20:E9:57', heartbeatSeconds: 60 });
    await system.until(`SELECT 1 FROM devices WHERE device_id = 'ESP32-NEW'`);
    await system.runtime.idle();
    expect((await client.fleet()).idle_since).toBeNull();
  });

  test('a rollout that is made by plain SQL starts with the next sweep', async () => {
    await system.upload('firmware/1.2.0/esp32-s3.bin', buildImage({ version: '1.2.0', codeBytes: 4_000 }));
    await system.until(`SELECT 1 FROM firmware_releases WHERE version = '1.2.0'`);
    await minutesAwake(8);
    await system.database.query(
      `INSERT INTO rollout_configurations (name, firmware_version, stages) VALUES ('by SQL', '1.2.0', '[]')`,
    );
    await minutesAwake(66);
    await system.until(`SELECT 1 FROM devices WHERE device_id = 'ESP32-CABIN' AND current_firmware_version = '1.2.0'`);
  });
});
