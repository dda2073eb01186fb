import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { revokeDevice } from '../../../core/devices/index.ts';
import { FAILED_STATES, mayReach, UPDATE_MOVES, UPDATE_STATES, type UpdateState } from '../../../core/policy/index.ts';
import { stopRollout } from '../../../core/rollouts/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  await addRelease(db.app, '3.0.0');
  service = new TestService(db.app, db.roles);
});

const why = { rolloutId: 1, reason: 'because', by: 'an operator' };

/** How an update gets into each state. `success` means installed; `booted` and `proven` may follow it. */
const STATES = {
  async pending(devices) {
    for (const device of devices) service.absent.add(device);
    await service.tick();
    service.absent.clear();
    service.later(61);
  },
  async sent() {
    await service.tick();
  },
  async downloading(devices) {
    await service.tick();
    for (const device of devices) await service.fetch(device);
  },
  async downloaded(devices) {
    await STATES.downloading(devices);
    for (const device of devices) await service.progress(device, 'downloaded');
  },
  async installing(devices) {
    await STATES.downloading(devices);
    for (const device of devices) await service.progress(device, 'installing');
  },
  async success(devices) {
    await STATES.downloading(devices);
    for (const device of devices) await service.result(device, 0);
  },
  async booted(devices) {
    await STATES.success(devices);
    service.later(1);
    for (const device of devices) await service.status(device, '2.0.0', 10);
  },
  async proven(devices) {
    await STATES.booted(devices);
    service.later(6);
    await service.prove(...devices);
  },
  async failed(devices) {
    await STATES.downloading(devices);
    for (const device of devices) await service.result(device, 9);
  },
  async rolled_back(devices) {
    await STATES.success(devices);
    service.later(1);
    for (const device of devices) await service.status(device, '1.0.0', 10);
  },
  async timed_out(devices) {
    await STATES.success(devices);
    service.later(16);
    await service.tick();
  },
  async canceled() {
    await service.tick();
    await stopRollout(db.app, why, service.now);
    await service.tick();
  },
} satisfies Record<UpdateState | 'booted' | 'proven', (devices: readonly string[]) => Promise<void>>;
type State = keyof typeof STATES;
const stateNames = Object.keys(STATES) as State[];

/** What a device does, one minute later. */
const REPORTS = {
  'is seen on the old version': (device) => service.status(device, '1.0.0', 100_000),
  'boots the old version': (device) => service.status(device, '1.0.0', 5),
  'runs the new version': (device) => service.status(device, '2.0.0', 5),
  'runs another version': (device) => service.status(device, '1.5.0', 5),
  accepts: (device) => service.accept(device),
  'opens its link': async (device) => {
    await service.fetch(device);
  },
  downloads: (device) => service.progress(device, 'downloading'),
  verifies: (device) => service.progress(device, 'downloaded'),
  installs: (device) => service.progress(device, 'installing'),
  'reports success': (device) => service.result(device, 0),
  'reports a temporary failure': (device) => service.result(device, 2),
  'reports a permanent failure': (device) => service.result(device, 9),
} satisfies Record<string, (device: string) => Promise<void>>;

/** What the service does. */
const SERVICE_EVENTS = {
  'the orchestrator runs a tick': async () => {
    await service.tick();
  },
  'its device is not connected': async (device) => {
    service.absent.add(device);
    await service.tick();
  },
  'AWS throttles': async (device) => {
    service.fates.set(device, 'throttled');
    await service.tick();
  },
  'AWS refuses': async (device) => {
    service.fates.set(device, 'refused');
    await service.tick();
  },
  'its deadline passes': async (device) => {
    const [update] = await db.app.query<{ deadline_at: Date | null }>(
      'SELECT deadline_at FROM device_update_status WHERE device_id = :device',
      { device },
    );
    service.now = update?.deadline_at ?? new Date(service.now.getTime() + 60 * 60_000);
    service.absent.add(device);
    await service.tick();
  },
  'the rollout is halted': async () => {
    await stopRollout(db.app, why, service.now);
    await service.tick();
  },
  'its device is revoked': async (deviceId) => {
    await revokeDevice(db.app, { deviceId, reason: 'stolen', by: 'an operator' }, service.now);
    await service.tick();
  },
  'a newer rollout takes over': async (device) => {
    service.absent.add(device);
    await addRollout(db.app, 'newer', '3.0.0', { stages: [] });
    await service.tick();
  },
} satisfies Record<string, (device: string) => Promise<void>>;

type Event = keyof typeof REPORTS | keyof typeof SERVICE_EVENTS;
const reports = Object.keys(REPORTS) as (keyof typeof REPORTS)[];
const serviceEvents = Object.keys(SERVICE_EVENTS) as (keyof typeof SERVICE_EVENTS)[];

const SAME = Object.fromEntries([...reports, ...serviceEvents].map((event) => [event, 'same'])) as Record<
  Event,
  'same'
>;
const UNDER_WAY = {
  ...SAME,
  'runs the new version': 'booted',
  'reports success': 'success',
  'reports a temporary failure': 'pending',
  'reports a permanent failure': 'failed',
  'boots the old version': 'rolled_back',
  'runs another version': 'rolled_back',
  'its deadline passes': 'pending',
  'its device is revoked': 'canceled',
} as const;

/** The next state for every state and every event. */
const TABLE: Readonly<Record<State, Readonly<Record<Event, State | 'same'>>>> = {
  pending: {
    ...SAME,
    'is seen on the old version': 'sent',
    'boots the old version': 'sent',
    'runs the new version': 'canceled',
    'runs another version': 'sent',
    'the orchestrator runs a tick': 'sent',
    'AWS refuses': 'failed',
    'its deadline passes': 'timed_out',
    'the rollout is halted': 'canceled',
    'its device is revoked': 'canceled',
    'a newer rollout takes over': 'canceled',
  },
  sent: {
    ...UNDER_WAY,
    // Nothing was fetched: the device may have restarted before the command, and a failure is one of delivery.
    'boots the old version': 'same',
    'runs another version': 'same',
    'reports a permanent failure': 'pending',
    'opens its link': 'downloading',
    downloads: 'downloading',
    verifies: 'downloaded',
    installs: 'installing',
    'the rollout is halted': 'canceled',
  },
  downloading: {
    ...UNDER_WAY,
    'boots the old version': 'pending',
    'runs another version': 'pending',
    verifies: 'downloaded',
    installs: 'installing',
  },
  downloaded: { ...UNDER_WAY, installs: 'installing' },
  installing: UNDER_WAY,
  success: {
    ...SAME,
    'boots the old version': 'rolled_back',
    'runs the new version': 'booted',
    'runs another version': 'failed',
    'its deadline passes': 'timed_out',
    'its device is revoked': 'canceled',
  },
  booted: {
    ...SAME,
    'boots the old version': 'rolled_back',
    'runs another version': 'rolled_back',
    'its deadline passes': 'timed_out',
    'its device is revoked': 'canceled',
  },
  proven: SAME,
  failed: SAME,
  rolled_back: SAME,
  timed_out: SAME,
  canceled: SAME,
};

async function readStates(): Promise<Map<string, State>> {
  const rows = await db.app.query<{ device_id: string; state: State }>(
    `SELECT device_id, CASE WHEN status <> 'success' THEN status WHEN completed_at IS NOT NULL THEN 'proven'
       WHEN booted_at IS NOT NULL THEN 'booted' ELSE status END AS state
     FROM device_update_status WHERE rollout_id = 1`,
  );
  return new Map(rows.map(({ device_id, state }) => [device_id, state]));
}

async function begin(state: State, count: number, columns = {}): Promise<string[]> {
  await addDevices(db.app, count);
  await db.app.query('UPDATE devices SET report_interval_seconds = 60');
  await addRollout(db.app, 'r', '2.0.0', {
    stages: [{ percentage: 100, min_success_rate: 0 }],
    failure_threshold: 1,
    keep_open: true,
    ...columns,
  });
  const devices = Array.from({ length: count }, (_, n) => `d${n}`);
  await STATES[state](devices);
  expect([...(await readStates()).values()]).toEqual(devices.map(() => state));
  return devices;
}

const expectedState = (state: State, event: Event) => {
  const expected = TABLE[state][event];
  return expected === 'same' ? state : expected;
};

describe.each(stateNames)('an update that is %s', (state) => {
  test('changes with reports of its device as the table states', async () => {
    const devices = await begin(state, reports.length);
    service.later(1);
    for (const [n, word] of reports.entries()) await REPORTS[word](devices[n] as string);
    const after = await readStates();
    expect(Object.fromEntries(reports.map((word, n) => [word, after.get(`d${n}`)]))).toEqual(
      Object.fromEntries(reports.map((word) => [word, expectedState(state, word)])),
    );
  });

  test.each(serviceEvents)('changes as the table states when %s', async (event) => {
    await begin(state, 1);
    await SERVICE_EVENTS[event]('d0');
    expect((await readStates()).get('d0')).toBe(expectedState(state, event));
  });
});

/** The differences in the last attempt, which no other follows. */
const LAST_ATTEMPT = ['sent', 'downloading', 'downloaded', 'installing'] as const;

describe.each(LAST_ATTEMPT)('an update that is %s in its last attempt', (state) => {
  test('ends when it fails', async () => {
    await begin(state, 1, { max_attempts: 1 });
    await service.result('d0', 2);
    expect((await readStates()).get('d0')).toBe('failed');
  });

  test('ends when its deadline passes', async () => {
    await begin(state, 1, { max_attempts: 1 });
    await SERVICE_EVENTS['its deadline passes']('d0');
    expect((await readStates()).get('d0')).toBe('timed_out');
  });
});

test('an update with a pending retry is on probation if its device runs the new version', async () => {
  await begin('downloading', 1);
  await service.result('d0', 2);
  service.later(4);
  await service.status('d0', '2.0.0', 5);
  expect((await readStates()).get('d0')).toBe('booted');
});

const statusOf = (state: State): UpdateState =>
  state === 'booted' || state === 'proven' ? 'success' : (state as UpdateState);

test('the table has every state of an update, and no transition that the drawn ones do not allow', () => {
  expect(UPDATE_STATES.filter((state) => !stateNames.includes(state))).toEqual([]);
  for (const state of stateNames) {
    for (const event of [...reports, ...serviceEvents]) {
      const [from, to] = [statusOf(state), statusOf(expectedState(state, event))];
      expect(`${from} -> ${to}: ${mayReach(from, to)}`).toBe(`${from} -> ${to}: true`);
    }
  }
});

test('every drawn transition is in the table', () => {
  const made = new Set([
    ...stateNames.flatMap((state) =>
      [...reports, ...serviceEvents].map((event) => `${statusOf(state)} -> ${statusOf(expectedState(state, event))}`),
    ),
    ...LAST_ATTEMPT.flatMap((state) => [`${state} -> failed`, `${state} -> timed_out`]),
    'pending -> success',
  ]);
  const drawn = UPDATE_MOVES.flatMap(({ from, to }) => from.map((state) => `${state} -> ${to}`));
  expect(drawn.filter((move) => !made.has(move))).toEqual([]);
});

test('the schema has the states of the table, and the same of them are failures', async () => {
  const [check] = await db.app.query<{ definition: string }>(
    `SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE conname = 'device_update_status_status_check'`,
  );
  expect([...(check?.definition ?? '').matchAll(/'(\w+)'::/g)].map(([, state]) => state)).toEqual([...UPDATE_STATES]);
  const rows = await db.app.query<{ status: string; fails: boolean; ends: boolean }>(
    `SELECT status, counted_reason(status, 'why') IS NOT NULL AS fails, counted_end(status, now()) IS NOT NULL AS ends
     FROM jsonb_array_elements_text(:states::jsonb) WITH ORDINALITY AS s(status, n) ORDER BY n`,
    { states: UPDATE_STATES },
  );
  expect(rows.filter(({ fails }) => fails).map(({ status }) => status)).toEqual(FAILED_STATES);
  expect(rows.filter(({ ends }) => ends).map(({ status }) => status)).toEqual(['success', ...FAILED_STATES]);
});
