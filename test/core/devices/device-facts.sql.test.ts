import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type DeviceReport, mergeReports, upsertDevices } from '../../../core/devices/index.ts';
import { type FactValue, VOLATILE_FACTS } from '../../../core/protocol/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  service = new TestService(db.app, db.roles);
});

const START = new Date('2026-03-02T12:00:00Z');

type Facts = Readonly<Record<string, FactValue>>;

function reportAt(second: number, facts: Facts): DeviceReport {
  const at = new Date(START.getTime() + second * 1000);
  return {
    ...{ deviceId: 'd0', clientId: 'd0', macAddress: null, macReceivedAt: null, online: true },
    ...{ model: 'esp32-s3', modelReceivedAt: at, version: '1.0.0', versionReceivedAt: at },
    ...{ reachabilityReceivedAt: at, lastSeen: at, uptimeSeconds: 5, signalStrengthDbm: null, status: {} },
    facts: Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, { value, at }])),
  };
}

const store = (...reports: readonly DeviceReport[]) => upsertDevices(db.roles.ingest, reports);

async function factsOf(device = 'd0'): Promise<Facts | undefined> {
  const [row] = await db.app.query<{ facts: Facts }>('SELECT facts FROM devices WHERE device_id = :device', { device });
  return row?.facts;
}

/** Every order of the given values. */
const orders = <T>(values: readonly T[]): T[][] =>
  values.length < 2
    ? [[...values]]
    : values.flatMap((first, at) => orders(values.filter((_, n) => n !== at)).map((rest) => [first, ...rest]));

describe('facts of a device', () => {
  test('are stored from its first status on', async () => {
    await store(reportAt(0, { slot_bytes: 1_310_720, board_revision: 'C', metered: true }));
    expect(await factsOf()).toEqual({ slot_bytes: 1_310_720, board_revision: 'C', metered: true });
  });

  test('stay when a later status does not state them', async () => {
    await store(reportAt(0, { slot_bytes: 1_310_720 }));
    await store(reportAt(60, {}));
    await store(reportAt(120, { battery_percent: 80 }));
    expect(await factsOf()).toEqual({ slot_bytes: 1_310_720, battery_percent: 80 });
  });

  const REPORTS = [
    reportAt(0, { battery_percent: 90, slot_bytes: 1_048_576 }),
    reportAt(60, { battery_percent: 80, slot_bytes: 1_310_720, site: 'rome' }),
    reportAt(120, { battery_percent: 70 }),
    reportAt(180, { site: 'oslo' }),
  ];
  test.each(orders(REPORTS).map((order) => [order.map(({ lastSeen }) => lastSeen?.getSeconds()).join(' '), order]))(
    'are those of the newest status that states them, one by one and merged, in the order %#',
    async (_, order) => {
      const expected = { battery_percent: 70, slot_bytes: 1_310_720, site: 'oslo' };
      for (const report of order as DeviceReport[]) await store(report);
      expect(await factsOf()).toEqual(expected);
      await db.empty();
      const [first, second, third, last] = order as [DeviceReport, DeviceReport, DeviceReport, DeviceReport];
      await store(mergeReports(first, second));
      await store(mergeReports(third, last));
      expect(await factsOf()).toEqual(expected);
    },
  );

  test('of two statuses of one instant are the larger ones in any order', async () => {
    for (const [first, second] of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const) {
      await db.empty();
      await store(reportAt(0, { site: first }));
      await store(reportAt(0, { site: second }));
      expect(await factsOf()).toEqual({ site: 'b' });
    }
  });

  test('are at most 24: the known ones and those that were stated last', async () => {
    await store(reportAt(0, { slot_bytes: 1_310_720 }));
    for (let n = 1; n <= 40; n++) await store(reportAt(n, { [`f${n}`]: n }));
    const names = Object.keys((await factsOf()) ?? {});
    expect(names).toHaveLength(24);
    expect(names).toEqual(expect.arrayContaining(['slot_bytes', 'f40', 'f18']));
  });

  test('are kept apart from the attributes that operators set', async () => {
    await store(reportAt(0, { site: 'rome' }));
    await db.app.query(`UPDATE devices SET metadata = '{"site": "oslo"}'`);
    await store(reportAt(60, { site: 'bern' }));
    expect(await db.app.query('SELECT metadata, facts FROM devices')).toEqual([
      { metadata: { site: 'oslo' }, facts: { site: 'bern' } },
    ]);
  });
});

describe('a changed fact', () => {
  const changes = async () => (await db.app.query('SELECT device_id FROM device_changes')).length;
  const FACTS = { slot_bytes: 1_310_720, battery_percent: 80, free_heap_bytes: 150_000, reset_reason: 'power_on' };
  beforeEach(async () => {
    await addRelease(db.app, '2.0.0');
    await service.status('d0', '1.0.0', 5, FACTS);
    await db.app.query('DELETE FROM device_changes');
    service.later(1);
  });

  test.each([
    ['of the hardware', { slot_bytes: 1_048_576 }, 1],
    ['that the device names itself', { site: 'rome' }, 1],
    ['that is stated again', { slot_bytes: 1_310_720 }, 0],
    ['of the battery', { battery_percent: 79 }, 0],
    ['of the heap and the start', { free_heap_bytes: 149_000, reset_reason: 'panic' }, 0],
  ])('%s makes rollouts examine the device %#', async (_, facts, expected) => {
    await service.status('d0', '1.0.0', 65, facts);
    expect(await changes()).toBe(expected);
  });

  test('is judged by the trigger as the code judges it', async () => {
    const [row] = await db.app.query<{ prosrc: string }>(
      `SELECT prosrc FROM pg_proc WHERE proname = 'record_fact_change'`,
    );
    expect(row?.prosrc).toContain(`'{${VOLATILE_FACTS.join(',')}}'`);
  });

  test('of the battery makes rollouts examine the device while one of them selects by it', async () => {
    const filter = { facts: { battery_percent: { min: 50 } } };
    const id = await addRollout(db.app, 'r', '2.0.0', { target_filter: filter, stages: [] });
    await service.status('d0', '1.0.0', 65, { free_heap_bytes: 1 });
    expect(await changes()).toBe(0);
    await service.status('d0', '1.0.0', 65, { battery_percent: 79 });
    expect(await changes()).toBe(1);
    await db.app.query('UPDATE rollout_configurations SET aborted_at = now() WHERE id = :id', { id });
    service.later(1);
    await service.status('d0', '1.0.0', 125, { battery_percent: 78 });
    expect(await changes()).toBe(1);
  });
});
