import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());

const DEVICES = 24;
const LIMITS = { max_in_flight: 6, max_per_minute: 5 };
const MINUTES = 60;

/**
 * What a device has done since its command: one minute later it has installed the image, and another minute later it
 * runs it.
 */
const said = new Map<string, 'command' | 'written' | 'running'>();

async function live(device: string, service: TestService, sender: TestService | undefined): Promise<void> {
  const state = said.get(device);
  if (state === undefined || state === 'running') {
    return service.status(device, state === undefined ? '1.0.0' : '2.0.0', 100_000);
  }
  if (state === 'command') {
    await sender?.fetch(device);
    await service.result(device, 0);
    said.set(device, 'written');
    return;
  }
  await service.status(device, '2.0.0', 5);
  said.set(device, 'running');
}

test(
  'concurrent orchestrators, dispatchers and ingestion: no statement fails, no limit is exceeded, every device is sent one command',
  async () => {
    await addDevices(db.app, DEVICES);
    await addRelease(db.app, '2.0.0');
    await addRollout(db.app, 'all at once', '2.0.0', { stages: [], probation_minutes: 0, ...LIMITS });
    const services = Array.from({ length: 4 }, () => new TestService(db.app, db.roles));
    const devices = Array.from({ length: DEVICES }, (_, n) => `d${n}`);
    const senderOf = (device: string) => services.find(({ sent }) => sent.some(({ deviceId }) => deviceId === device));

    for (let minute = 0; minute < MINUTES && said.size < DEVICES; minute++) {
      for (const service of services) service.later(1);
      const before = services.reduce((sum, { sent }) => sum + sent.length, 0);
      await Promise.all([
        ...services.map((service) => service.tick()),
        ...devices.map((device, n) => live(device, services[n % 4] as TestService, senderOf(device))),
      ]);
      for (const { deviceId } of services.flatMap(({ sent }) => sent)) {
        if (!said.has(deviceId)) said.set(deviceId, 'command');
      }
      expect(services.reduce((sum, { sent }) => sum + sent.length, 0) - before).toBeLessThanOrEqual(5);
      const [pace] = await db.app.query<{ in_flight: number; held: number }>(
        `SELECT in_flight, (SELECT count(*) FROM device_update_status WHERE holds_slot)::integer AS held FROM rollout_runtime`,
      );
      expect(pace?.in_flight).toBe(pace?.held);
      expect(pace?.in_flight).toBeLessThanOrEqual(6);
    }
    for (let minute = 0; minute < 3; minute++) {
      for (const service of services) service.later(1);
      await Promise.all([
        ...services.map((service) => service.tick()),
        ...devices.map((device, n) => live(device, services[n % 4] as TestService, senderOf(device))),
      ]);
    }

    const commands = services.flatMap(({ sent }) => sent.map(({ deviceId }) => deviceId));
    expect(commands.sort()).toEqual([...devices].sort());
    expect(
      await db.app.query(
        `SELECT status, attempt, completed_at IS NOT NULL AS closed, count(*)::integer AS devices
         FROM device_update_status GROUP BY 1, 2, 3`,
      ),
    ).toEqual([{ status: 'success', attempt: 1, closed: true, devices: DEVICES }]);
  },
  5 * 60_000,
);
