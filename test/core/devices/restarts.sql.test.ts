import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type DeviceReport, upsertDevices } from '../../../core/devices/index.ts';
import { compactCounters } from '../../../core/orchestrator/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(() => db.empty());

/** The view reads the clock of the database. */
const BEGIN = Date.now();

interface Said {
  /** Seconds since the first message. */
  readonly at: number;
  readonly uptime?: number;
  readonly version?: string;
  readonly isLastWill?: boolean;
  readonly resetReason?: string | number;
}

function report({ at, uptime, version = '1.0.0', isLastWill = false, resetReason }: Said): DeviceReport {
  const receivedAt = new Date(BEGIN + at * 1000);
  return {
    deviceId: 'd0',
    clientId: 'd0',
    macAddress: null,
    macReceivedAt: null,
    model: null,
    modelReceivedAt: null,
    version: isLastWill ? null : version,
    versionReceivedAt: isLastWill ? null : receivedAt,
    online: !isLastWill,
    reachabilityReceivedAt: receivedAt,
    lastSeen: isLastWill ? null : receivedAt,
    uptimeSeconds: uptime ?? null,
    signalStrengthDbm: null,
    status: isLastWill ? null : resetReason === undefined ? {} : { reset_reason: resetReason },
  };
}

async function says(...said: Said[]): Promise<void> {
  for (const one of said) await upsertDevices(db.app, [report(one)]);
}
const counted = async () => {
  const [row] = await db.app.query<{ restarts: number; observed_seconds: number }>(
    'SELECT restarts, observed_seconds FROM devices',
  );
  return row;
};
const every = (seconds: number, count: number, uptime?: (n: number) => number): Said[] =>
  Array.from({ length: count }, (_, n) => ({
    at: n * seconds,
    ...(uptime === undefined ? {} : { uptime: uptime(n) }),
  }));

describe('restarts on the present version', () => {
  test('of a device that is always on show by an uptime that began again', async () => {
    await says(...every(60, 11, (n) => (n < 5 ? 10_000 + n * 60 : (n - 5) * 60 + 3)));
    expect(await counted()).toEqual({ restarts: 1, observed_seconds: 600 });
  });

  test('of a deep sleeper are its wakes', async () => {
    await says(...every(600, 7, () => 5));
    expect(await counted()).toEqual({ restarts: 6, observed_seconds: 3_600 });
  });

  test('of a deep sleeper that names the reason of its resets are none', async () => {
    await says(...every(600, 4, () => 5).map((said) => ({ ...said, resetReason: 'ESP_RST_DEEPSLEEP' })));
    await says({ at: 2_400, uptime: 5, resetReason: 8 });
    expect(await counted()).toMatchObject({ restarts: 0 });
    await says({ at: 2_420, uptime: 3, resetReason: 'panic' });
    expect(await counted()).toMatchObject({ restarts: 1 });
  });

  test('without an uptime are not seen while the statuses keep their pace', async () => {
    await says(...every(60, 60));
    expect(await counted()).toEqual({ restarts: 0, observed_seconds: 3_540 });
  });

  test('without an uptime show by statuses that come before their time', async () => {
    await says(...every(600, 4));
    for (let n = 1; n <= 10; n++) await says({ at: 1_800 + n * 25 });
    const { restarts = 0 } = (await counted()) ?? {};
    expect(restarts).toBeGreaterThanOrEqual(9);
    expect(restarts).toBeLessThanOrEqual(10);
  });

  test('without an uptime show by a last will and a return', async () => {
    await says(...every(60, 4));
    await says({ at: 200, isLastWill: true }, { at: 240 }, { at: 300 });
    expect(await counted()).toMatchObject({ restarts: 1 });
  });

  test('do not include the reboot that brought the version', async () => {
    await says(...every(60, 4, (n) => n * 60 + 100), { at: 250, uptime: 4, version: '1.1.0' });
    expect(await counted()).toEqual({ restarts: 0, observed_seconds: 0 });
    await says({ at: 310, uptime: 64, version: '1.1.0' }, { at: 370, uptime: 9, version: '1.1.0' });
    expect(await counted()).toEqual({ restarts: 1, observed_seconds: 120 });
  });
});

interface Health {
  readonly firmware_version: string;
  readonly devices: number;
  readonly restarts: number;
  readonly device_hours: number;
  readonly heard_of: number;
  readonly silent: number;
}

const health = () =>
  db.app.query<Health>(
    `SELECT firmware_version, devices, restarts, device_hours, heard_of, silent
     FROM release_health ORDER BY firmware_version`,
  );

test('release health keeps what the devices of a version had shown when they leave it', async () => {
  await says({ at: -7_300, uptime: 10 }, { at: -5_500, uptime: 20 }, { at: -3_700, uptime: 1_820 });
  await says({ at: -3_600, uptime: 4, version: '1.1.0' }, { at: 0, uptime: 5, version: '1.1.0' });
  const known = [
    { firmware_version: '1.0.0', devices: 0, restarts: 1, device_hours: 1, heard_of: 0, silent: 0 },
    { firmware_version: '1.1.0', devices: 1, restarts: 1, device_hours: 1, heard_of: 1, silent: 0 },
  ];
  expect(await health()).toEqual(known);
  await compactCounters(db.app);
  expect(await health()).toEqual(known);
  await db.app.query('DELETE FROM devices');
  await compactCounters(db.app);
  expect(await health()).toEqual([known[0], { ...known[1], devices: 0, heard_of: 0 }]);
});

test.each([
  ['silent after five of its usual reports', 5.1, [1, 1]],
  ['not silent before', 4.9, [0, 1]],
  ['left out after a week', 7 * 24 + 1, [0, 0]],
])('release health counts a device as %s', async (_, hours, expected) => {
  const newest = -hours * 3_600;
  await says({ at: newest - 7_200 }, { at: newest - 3_600 }, { at: newest });
  const [row] = await health();
  expect([row?.silent, row?.heard_of]).toEqual(expected);
});
