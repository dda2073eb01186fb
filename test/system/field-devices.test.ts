import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { explainDevice } from '../../core/explain/index.ts';
import { buildImage } from '../../fleet/build-image.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

let system: TestSystem;

interface Update {
  readonly status: string;
  readonly attempt: number;
  readonly sends: number;
  readonly error_message: string | null;
  readonly result_code: number | null;
  readonly booted_at: Date | null;
}

const outcomeOf = (deviceId: string, condition: (update: Update) => boolean = () => true) =>
  system.until<Update>(`SELECT * FROM device_update_status WHERE device_id = '${deviceId}'`, condition);

/** One rollout to a fleet in which each device has a different fault. Each test below is about one device. */
beforeAll(async () => {
  system = await startTestSystem();
  const absent = await system.device({ deviceId: 'absent' });
  const sleeper = await system.device({
    deviceId: 'asleep',
    behaviours: { sleep: { awakeSeconds: 5, asleepSeconds: 9 } },
  });
  await Promise.all([
    system.device({
      deviceId: 'boots-back',
      statusForm: '1.4.2',
      behaviours: { bootFails: () => true, slowRebootSeconds: 10 },
    }),
    system.device({ deviceId: 'small-partition', otaPartitionBytes: 32 * 1024 }),
    system.device({
      deviceId: 'states-its-slot',
      otaPartitionBytes: 32 * 1024,
      facts: () => ({ slot_size: '32768', facts: { modem: 'SIM7080G' }, battery_level: '80%' }),
    }),
    // How many messages precede a status depends on the machine: if one is lost, the next one must come soon.
    system.device({
      deviceId: 'loses-results',
      behaviours: { loseMessages: 0.5 },
      random: everyOther(),
      heartbeatSeconds: 5,
    }),
    system.device({ deviceId: 'newer-family', topicFamily: 'edge', statusForm: '1.4.2' }),
  ]);
  await system.until(
    'SELECT count(*)::integer AS devices FROM devices',
    ({ devices }: { devices: number }) => devices === 7,
  );
  await absent.stop();
  // As after the first report of the device on the newer topics.
  await system.database.query(`UPDATE devices SET command_family = 'edge' WHERE device_id = 'newer-family'`);
  await system.upload('firmware/1.1.0/esp32-s3.bin', buildImage({ version: '1.1.0' }));
  await system.until(`SELECT 1 FROM firmware_releases WHERE version = '1.1.0'`);
  await system.database.query(
    `INSERT INTO rollout_configurations (name, firmware_version, stages, failure_threshold) VALUES ('odd ones', '1.1.0', '[]', 1)`,
  );
  await new Promise<void>((resolve) => {
    sleeper.on('state', ({ kind }) => kind === 'asleep' && resolve());
  });
  await system.runtime.tick();
});
afterAll(() => system?.close());

/** Loses every second message. */
function everyOther(): () => number {
  let n = 0;
  return () => (n++ % 2 === 0 ? 0.9 : 0.1);
}

describe('in a rollout to field devices,', () => {
  test('a device that is not connected stays pending without using an attempt, and is updated when it reconnects', async () => {
    const owed = await outcomeOf('absent', ({ error_message }) => error_message !== null);
    expect(owed).toMatchObject({ status: 'pending', attempt: 0, error_message: 'the device is not connected' });
    await system.device({ deviceId: 'absent' });
    expect(await outcomeOf('absent', ({ booted_at }) => booted_at !== null)).toMatchObject({
      status: 'success',
      attempt: 1,
    });
  });

  test('a device that sleeps through its command gets it again in the same attempt when it wakes', async () => {
    const update = await outcomeOf('asleep', ({ booted_at }) => booted_at !== null);
    expect(update).toMatchObject({ status: 'success', attempt: 1 });
    expect(update.sends).toBeGreaterThan(1);
  });

  test('a device refuses an image that does not fit, and the update has its reason', async () => {
    const update = await outcomeOf('small-partition', ({ status }) => status === 'failed');
    expect(update).toMatchObject({ result_code: 8, attempt: 1 });
  });

  test('a device that has stated that the image does not fit is sent none, and the reason has both numbers', async () => {
    const [row] = await system.database.query<{ id: number; facts: object }>(
      `SELECT r.id, d.facts FROM rollout_configurations AS r, devices AS d WHERE d.device_id = 'states-its-slot'`,
    );
    expect(row?.facts).toEqual({ slot_bytes: 32_768, battery_percent: 80, modem: 'SIM7080G' });
    await outcomeOf('small-partition', ({ status }) => status === 'failed');
    const explained = await explainDevice(system.database, row?.id ?? 0, 'states-its-slot', new Date());
    expect(explained?.rule).toMatch(/^the image has [\d,]+ bytes, the device reports a slot of 32,768$/);
    expect(
      await system.database.query(`SELECT status FROM device_update_status WHERE device_id = 'states-its-slot'`),
    ).toEqual([]);
  });

  test('a device whose reports are lost is proven by its status', async () => {
    const update = await outcomeOf('loses-results', ({ booted_at }) => booted_at !== null);
    expect(update.status).toBe('success');
  });

  test('a device of the newer generation gets its command on its own topic family', async () => {
    expect(await outcomeOf('newer-family', ({ booted_at }) => booted_at !== null)).toMatchObject({
      status: 'success',
    });
    const [attempt] = await system.database.query(
      `SELECT command_family FROM update_attempts WHERE device_id = 'newer-family'`,
    );
    expect(attempt).toEqual({ command_family: 'edge' });
  });

  test('a device that boots its old image is rolled back even if it reported success', async () => {
    const update = await outcomeOf('boots-back', ({ status }) => status === 'rolled_back');
    expect(update).toMatchObject({
      result_code: 0,
      error_message: 'reported 1.0.0 again after a reboot: 1.1.0 did not boot',
    });
  });
});
