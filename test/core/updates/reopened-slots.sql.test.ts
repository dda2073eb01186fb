import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { recountSlots } from '../../../core/updates/index.ts';
import { storeReports } from '../../../lambdas/ingest-ota/store-reports.ts';
import { counterErrors } from '../../support/counter-recount.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

vi.setConfig({ testTimeout: 300_000 });

let db: TestDatabase;
let service: TestService;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());

const DEVICES = 4;
const begin = async (columns: object) => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  await addDevices(db.app, DEVICES);
  service = new TestService(db.app);
  await db.app.query('UPDATE devices SET last_seen = :at::timestamptz', { at: minutesAgo(60) });
  await addRollout(db.app, 'r', '2.0.0', { max_attempts: 5, failure_threshold: 1, ...columns });
};
const minutesAgo = (minutes: number) => new Date(service.now.getTime() - minutes * 60_000);

/** Processes a progress report that was received some minutes ago. */
async function reportLate(deviceId: string, minutes: number): Promise<void> {
  const receivedAt = minutesAgo(minutes);
  const report = {
    deviceId,
    type: 'progress' as const,
    receivedAt,
    payloadHash: `${deviceId} ${receivedAt.toISOString()}`,
    payload: { percent: 50, state: 'downloading' },
    version: null,
    state: 'downloading' as const,
  };
  await storeReports(db.app, [{ family: 'devices' as const, clientId: deviceId, report }]);
}

const counters = async () =>
  (await db.app.query('SELECT in_flight, started_count, finished_count, start_limit FROM rollout_runtime'))[0];

/** Each device that has its command holds one slot and counts as started, and the counters equal a recount. */
async function expectOneSlotEach(): Promise<void> {
  const wrong = await db.app.query(
    `SELECT device_id, status, holds_slot, counts_as_started FROM device_update_status
     WHERE completed_at IS NULL AND (status <> 'pending') IS DISTINCT FROM holds_slot
       OR completed_at IS NULL AND status <> 'pending' AND NOT counts_as_started`,
  );
  expect(wrong).toEqual([]);
  const before = await counters();
  expect(await recountSlots(db.app), JSON.stringify(before)).toBe(0);
  expect(await counterErrors(db.app)).toEqual([]);
}

/** Sends to the first device, gives it up as out of reach, and sends to the next. @returns both */
async function requeueWrongly(): Promise<readonly [string, string]> {
  for (let n = 0; n < DEVICES; n++) service.fates.set(`d${n}`, 'unconfirmed');
  await service.tick();
  const [first] = await sent();
  service.later(20);
  await service.tick();
  const second = (await sent()).find((device) => device !== first);
  if (first === undefined || second === undefined) throw new Error('expected a device after the first');
  return [first, second];
}
const sent = async () => {
  const rows = await db.app.query<{ device_id: string }>(
    `SELECT device_id FROM device_update_status WHERE status <> 'pending' AND completed_at IS NULL ORDER BY device_id`,
  );
  return rows.map(({ device_id }) => device_id);
};

beforeEach(() => {
  service = new TestService(db.app);
});

test('an update that was requeued wrongly takes its slot of max_in_flight back, and nothing is sent over the limit', async () => {
  await begin({ stages: [], max_in_flight: 1 });
  const [first, second] = await requeueWrongly();
  expect(await counters()).toMatchObject({ in_flight: 1 });
  await reportLate(first, 10);
  expect(await counters()).toMatchObject({ in_flight: 2 });
  await expectOneSlotEach();
  service.fates.clear();
  expect(await service.tick()).toEqual([]);
  await service.fail(first);
  await service.tick();
  expect(await sent()).toEqual([second]);
  await expectOneSlotEach();
});

test('an update that was requeued wrongly counts as started in its wave again', async () => {
  await begin({ max_attempts: 1 });
  const [first] = await requeueWrongly();
  expect(await counters()).toMatchObject({ started_count: 1 });
  await reportLate(first, 10);
  expect(await counters()).toMatchObject({ started_count: 2, finished_count: 0 });
  await expectOneSlotEach();
  await service.fail(first);
  await service.tick();
  expect(await counters()).toMatchObject({ started_count: 2, finished_count: 1 });
  await expectOneSlotEach();
});

test('in any order of sends, deadlines, returns and late reports each update holds one slot', async () => {
  const device = fc.integer({ min: 0, max: DEVICES - 1 }).map((n) => `d${n}`);
  const step = fc.oneof(
    fc.constantFrom('tick' as const, 'wait' as const),
    fc.record({
      device,
      what: fc.constantFrom('late' as const, 'returns' as const, 'fails' as const, 'boots' as const),
    }),
    fc.record({ device, what: fc.constantFrom('unconfirmed' as const, 'reachable' as const, 'absent' as const) }),
  );
  const limits = fc.constantFrom({ stages: [], max_in_flight: 1 }, { stages: [], max_in_flight: 2 }, {});
  await fc.assert(
    fc.asyncProperty(limits, fc.array(step, { minLength: 12, maxLength: 25 }), async (columns, steps) => {
      await begin(columns);
      await requeueWrongly();
      for (const one of steps) {
        await play(one);
        await expectOneSlotEach();
      }
    }),
    { numRuns: Number(process.env.PAKU_OTA_PROPERTY_RUNS ?? 6) },
  );
});

async function play(step: 'tick' | 'wait' | { readonly device: string; readonly what: string }): Promise<void> {
  if (step === 'tick') return void (await service.tick());
  if (step === 'wait') return service.later(11);
  const { device, what } = step;
  if (what === 'late') return reportLate(device, 10);
  if (what === 'returns') return service.status(device, '1.0.0', 10);
  if (what === 'fails') return void ((await service.fetch(device)) === 'open' && (await service.result(device, 9)));
  if (what === 'boots') return service.status(device, '2.0.0', 10);
  service.absent.delete(device);
  service.fates.delete(device);
  if (what === 'unconfirmed') service.fates.set(device, what);
  if (what === 'absent') service.absent.add(device);
}
