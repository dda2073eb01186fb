import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openUntil, sendWindow } from '../../../core/policy/index.ts';
import { abortRollout, resumeRollout, retryFailed, stopRollout } from '../../../core/rollouts/index.ts';
import { evaluateUpdates } from '../../../core/updates/index.ts';
import type { BuildOutcome } from '../../../tools/simulate/sim-device.ts';
import { Simulation } from '../../../tools/simulate/simulation.ts';

const OUTCOMES: BuildOutcome[] = [
  'runs',
  'runs',
  'runs',
  'boots back',
  'dies young',
  'never reboots',
  'silent',
  { failsWith: 2 },
  { failsWith: 3 },
  { failsWith: 4 },
];

const rollouts = fc.record({
  stages: fc.constantFrom(null, [], [{ count: 2, soak_minutes: 5 }], [{ percentage: 50 }]),
  max_in_flight: fc.constantFrom(null, 1, 3),
  max_per_minute: fc.constantFrom(null, 1, 2),
  failure_threshold: fc.constantFrom(0.1, 0.5, 1),
  rollout_percentage: fc.constantFrom(30, 100),
  priority: fc.constantFrom(0, 0, 1),
  keep_open: fc.constantFrom(false, false, true),
  allow_downgrade: fc.boolean(),
  jitter_minutes: fc.constantFrom(0, 0, 20),
  send_window: fc.constantFrom(null, null, { from: '08:30', to: '10:00' }, { from: '22:00', to: '09:00' }),
});

/** A small fleet, two rollouts, and any faults in the first hour and a half. */
const worlds = fc.record({
  seed: fc.integer({ min: 1, max: 1_000_000 }),
  transport: fc.constantFrom('direct' as const, 'direct' as const, 'publish' as const),
  chaos: fc.record({
    duplicates: fc.constantFrom(0, 0.3),
    delaySeconds: fc.constantFrom(0, 60, 240),
    crashes: fc.constantFrom(0, 0.02, 0.1),
    lastsSeconds: fc.constant(5_400),
    outage: fc.option(
      fc.record({ from: fc.integer({ min: 60, max: 3_600 }), seconds: fc.constantFrom(80, 300, 1_200) }),
      {
        nil: undefined,
      },
    ),
  }),
  devices: fc.array(
    fc.record({
      outcome: fc.constantFrom(...OUTCOMES),
      family: fc.constantFrom('devices' as const, 'edge' as const, 'both' as const),
      sleep: fc.constantFrom(
        undefined,
        { awake: 60, asleep: 300 },
        { awake: 60, asleep: 1_740 },
        { awake: 30, asleep: 3_570 },
      ),
      loss: fc.constantFrom(0, 0.3),
      hasUptime: fc.boolean(),
    }),
    { minLength: 2, maxLength: 10 },
  ),
  one: rollouts,
  two: rollouts,
  /** The limit of both rollouts for a site; every third device has none. */
  perSite: fc.constantFrom(null, 1, 2),
  /** The minimum version of the second release, for which the first is the stepping stone. */
  minVersion: fc.constantFrom(null, '2.0.0'),
  /** When and how the second rollout is stopped; ten minutes later it is resumed or aborted. */
  halts: fc.constantFrom(null, 600, 1_800),
  bySql: fc.boolean(),
  /** When failed updates of the first rollout are retried. */
  retries: fc.constantFrom(null, 7_200),
});
type World = typeof worlds extends fc.Arbitrary<infer T> ? T : never;

const LIMIT_SECONDS = 6 * 86_400;
/** Afterwards little happens, and the invariants are checked every ten minutes. */
const BUSY_SECONDS = 3 * 3_600;

async function build({ seed, chaos, transport, devices, one, two, perSite, minVersion }: World): Promise<Simulation> {
  const world = await Simulation.open(seed, chaos, transport);
  await world.addDevices(
    devices.map(({ outcome, ...device }, n) => ({
      id: `d${n}`,
      version: '1.0.0',
      ...device,
      install: () => outcome,
    })),
  );
  await world.reliableSql.query(
    `UPDATE devices SET metadata = jsonb_build_object('site', right(device_id, 1)::integer % 3)
     WHERE right(device_id, 1)::integer % 3 <> 2`,
  );
  await world.addRelease('2.0.0');
  await world.addRelease('3.0.0', minVersion);
  for (const rollout of [
    { name: 'one', firmware_version: '2.0.0', ...one },
    { name: 'two', firmware_version: '3.0.0', ...two },
  ]) {
    const limit = perSite === null ? {} : { max_in_flight_per: { attribute: 'site', max: perSite } };
    const values = { give_up_days: 1, ...rollout, ...limit };
    const columns = Object.keys(values).join(', ');
    await world.reliableSql.query(
      `INSERT INTO rollout_configurations (${columns})
       SELECT ${columns} FROM jsonb_populate_record(NULL::rollout_configurations, :values::jsonb)`,
      { values },
    );
  }
  return world;
}

interface Snapshot {
  readonly outcomes: Record<string, string>;
  readonly paces: {
    rollout_id: number;
    in_flight: number;
    held: number;
    started_count: number;
    start_limit: number | null;
    /** Started updates that are not counted as finished. */
    running: number;
    begun: number;
    devices: number;
  }[];
  /** Updates in flight at the site that has the most. */
  readonly mostAtSite: number;
}

async function look({ reliableSql }: Simulation): Promise<Snapshot> {
  const outcomes = await reliableSql.query<{ id: number; outcome: string }>(
    'SELECT id, status AS outcome FROM device_update_status WHERE completed_at IS NOT NULL',
  );
  const paces = await reliableSql.query<Snapshot['paces'][number]>(
    `SELECT p.rollout_id, p.in_flight, p.started_count, p.start_limit, p.started_count - p.finished_count AS running,
       u.*
     FROM rollout_runtime AS p
     CROSS JOIN LATERAL (
       SELECT (count(*) FILTER (WHERE holds_slot))::integer AS held, count(DISTINCT device_id)::integer AS devices,
         (count(*) FILTER (WHERE NOT is_counted AND counts_as_started))::integer AS begun
       FROM device_update_status WHERE rollout_id = p.rollout_id
     ) AS u`,
  );
  const [most] = await reliableSql.query<{ updates: number }>(
    `SELECT coalesce(max(updates), 0)::integer AS updates FROM (
       SELECT count(*) AS updates FROM device_update_status AS u JOIN devices AS d USING (device_id)
       WHERE u.holds_slot AND u.completed_at IS NULL AND d.metadata -> 'site' IS NOT NULL GROUP BY d.metadata -> 'site') AS at_site`,
  );
  const mostAtSite = most?.updates ?? 0;
  return { mostAtSite, outcomes: Object.fromEntries(outcomes.map(({ id, outcome }) => [id, outcome])), paces };
}

function check(before: Snapshot, after: Snapshot, { one, two, perSite, devices }: World): void {
  expect(after.mostAtSite).toBeLessThanOrEqual(perSite ?? devices.length);
  for (const [id, outcome] of Object.entries(before.outcomes)) expect(after.outcomes[id]).toBe(outcome);
  for (const pace of after.paces) {
    const rollout = pace.rollout_id === 1 ? one : two;
    const share = Math.max(1, Math.ceil((devices.length * rollout.rollout_percentage) / 100));
    expect(pace.in_flight).toBe(pace.held);
    expect(pace.running).toBe(pace.begun);
    expect(pace.in_flight).toBeLessThanOrEqual(rollout.max_in_flight ?? devices.length);
    // The limit counts silent devices as ended, so it falls when one returns. It restricts what starts afterwards.
    const earlier = before.paces.find(({ rollout_id }) => rollout_id === pace.rollout_id);
    const limit = Math.max(pace.start_limit ?? pace.started_count, earlier?.start_limit ?? 0);
    if (pace.started_count > (earlier?.started_count ?? 0)) expect(pace.started_count).toBeLessThanOrEqual(limit);
    expect(pace.devices).toBeLessThanOrEqual(share);
  }
}

/** Performs the scheduled actions of an operator. */
class Operator {
  readonly #world: Simulation;
  readonly #scenario: World;
  #haltedAt: number | undefined;
  readonly #action = { rolloutId: 2, reason: 'a test', by: 'a test' };

  constructor(world: Simulation, given: World) {
    this.#world = world;
    this.#scenario = given;
  }

  async act(): Promise<void> {
    const { reliableSql, second, now } = this.#world;
    const { halts, retries } = this.#scenario;
    if (second === halts && (await this.#halt())) this.#haltedAt = second;
    if (this.#haltedAt !== undefined && second === this.#haltedAt + 600) await this.#goOn(this.#haltedAt);
    if (second === retries) await retryFailed(reliableSql, { ...this.#action, rolloutId: 1 }, ['1.0.0'], now);
  }

  async #halt(): Promise<boolean> {
    const { reliableSql, now } = this.#world;
    if (!this.#scenario.bySql) return stopRollout(reliableSql, this.#action, now);
    const stopped = await reliableSql.query(
      `UPDATE rollout_configurations SET is_active = false
       WHERE id = 2 AND paused_at IS NULL AND completed_at IS NULL RETURNING id`,
    );
    return stopped.length > 0;
  }

  async #goOn(since: number): Promise<void> {
    const { reliableSql, now, commands } = this.#world;
    expect(commands.filter(({ second, rolloutId }) => rolloutId === 2 && second > since)).toEqual([]);
    if (this.#scenario.seed % 2 === 0) await abortRollout(reliableSql, this.#action, now);
    else if (!this.#scenario.bySql) await resumeRollout(reliableSql, this.#action, now);
    else await reliableSql.query('UPDATE rollout_configurations SET is_active = true WHERE id = 2');
  }
}

async function checkCommands(world: Simulation, given: World): Promise<void> {
  const { transport, one, two, devices, seed, halts } = given;
  const { commands, reliableSql } = world;
  const most = (keys: readonly string[]) =>
    Math.max(0, ...new Map(keys.map((key) => [key, keys.filter((other) => other === key).length])).values());
  // A publish is not confirmed, so it may be repeated. A command that was ignored goes to the other topic family once.
  if (transport === 'direct')
    expect(most(commands.map(({ id, attempt, family }) => `${id}/${attempt}/${family}`))).toBeLessThanOrEqual(1);
  for (const [id, rollout] of [one, two].entries()) {
    const own = commands.filter(({ rolloutId }) => rolloutId === id + 1);
    expect(most(own.map(({ second }) => `${Math.floor(second / 60)}`))).toBeLessThanOrEqual(
      rollout.max_per_minute ?? devices.length,
    );
    const window = rollout.send_window === null ? null : sendWindow.parse(rollout.send_window);
    for (const { second } of own) if (window !== null) expect(openUntil(window, dateOf(second))).not.toBeNull();
  }
  // After the abort of the second rollout, the first continues with devices that it may have updated before.
  if (halts !== null && seed % 2 === 0) return;
  // A halt cancels commands that were not fetched. Such a device may go to the other rollout, and return.
  const canceled = await reliableSql.query<{ id: number }>(
    "SELECT id FROM device_update_status WHERE status = 'canceled'",
  );
  const obeyed = commands.filter(({ id }) => !canceled.some((update) => update.id === id));
  for (let n = 0; n < devices.length; n++) {
    const rolloutsOf = obeyed.filter(({ deviceId }) => deviceId === `d${n}`).map(({ rolloutId }) => rolloutId);
    const turns = rolloutsOf.filter((rollout, index) => rollout !== rolloutsOf[index - 1]);
    expect(turns.length).toBeLessThanOrEqual(2);
  }
}

/** Every success is proven by a status of its version after the probation, and the device runs that version. */
async function checkSuccesses({ reliableSql, devices }: Simulation): Promise<void> {
  const unproven = await reliableSql.query(
    `SELECT u.device_id, u.firmware_version, u.booted_at, u.completed_at FROM device_update_status AS u
     JOIN rollout_configurations AS r ON r.id = u.rollout_id
     WHERE u.status = 'success' AND u.attempt > 0 AND u.sent_at IS NOT NULL AND NOT EXISTS (
       SELECT FROM ota_events AS e WHERE e.update_id = u.id AND e.event_type = 'status'
         AND e.payload ->> 'version' = u.firmware_version
         AND e.received_at >= u.booted_at + make_interval(mins => r.probation_minutes))`,
  );
  expect(unproven).toEqual([]);
  const newest = await reliableSql.query<{ device_id: string; firmware_version: string }>(
    `SELECT * FROM (
       SELECT DISTINCT ON (device_id) device_id, firmware_version, status, late_rollback_at FROM device_update_status
       WHERE status <> 'canceled' ORDER BY device_id, id DESC) AS u
     WHERE status = 'success' AND late_rollback_at IS NULL`,
  );
  for (const { device_id, firmware_version } of newest)
    expect({ device_id, version: devices.get(device_id)?.version }).toEqual({ device_id, version: firmware_version });
}

/** The final state is the fold of all evidence, and the counters equal a recount. */
async function checkFold({ reliableSql, now }: Simulation): Promise<void> {
  // An update that was given up while it waited for another attempt has a later end than its last attempt.
  const outcomes = () =>
    reliableSql.query<{ id: number }>(
      `SELECT id, status, cause, completed_at, booted_at, error_message FROM device_update_status
       WHERE sent_at IS NOT NULL ORDER BY id`,
    );
  const before = await outcomes();
  await evaluateUpdates(
    reliableSql,
    before.map(({ id }) => id),
    now,
  );
  expect(await outcomes()).toEqual(before);
  const different = await reliableSql.query(
    `SELECT * FROM (
       SELECT rollout_id, counted_state(status, completed_at, late_success_at, late_rollback_at) AS state, count(*) AS n
       FROM device_update_status WHERE NOT is_replaced AND rollout_id IS NOT NULL GROUP BY 1, 2) AS recount
     FULL JOIN (
       SELECT rollout_id, state, sum(updates) AS n FROM update_counts GROUP BY 1, 2 HAVING sum(updates) <> 0) AS counters
     USING (rollout_id, state) WHERE recount.n IS DISTINCT FROM counters.n`,
  );
  expect(different).toEqual([]);
}

const dateOf = (second: number) => new Date(Date.UTC(2026, 0, 5, 8) + second * 1000);

async function play(given: World): Promise<void> {
  const world = await build(given);
  const operator = new Operator(world, given);
  try {
    let before = await look(world);
    const ended = await world.runUntil(async () => {
      await operator.act();
      if (world.second > BUSY_SECONDS && world.second % 600 !== 0) return false;
      const after = await look(world);
      check(before, after, given);
      before = after;
      const [row] = await world.reliableSql.query<{ open: boolean }>(
        `SELECT EXISTS (SELECT FROM device_update_status WHERE completed_at IS NULL AND rollout_id IS NOT NULL) OR EXISTS (
           SELECT FROM rollout_configurations
           WHERE completed_at IS NULL AND paused_at IS NULL AND is_active AND NOT keep_open) AS open`,
      );
      return !row?.open && world.second > Math.max((given.halts ?? 0) + 700, (given.retries ?? 0) + 100);
    }, LIMIT_SECONDS);
    expect(ended).toBe(true);
    await checkCommands(world, given);
    await checkSuccesses(world);
    await checkFold(world);
    const doubles = await world.reliableSql.query(
      'SELECT device_id FROM device_update_status WHERE completed_at IS NULL AND rollout_id IS NOT NULL GROUP BY device_id HAVING count(*) > 1',
    );
    expect(doubles).toEqual([]);
  } finally {
    await world.close();
  }
}

test(
  'with delays, duplicates, losses, crashes and an outage, success is proven, the outcome is the fold of all evidence, limits hold, counters are exact, outcomes are final, a halted rollout sends nothing, no device goes back and forth, and every rollout ends',
  async () => {
    await fc.assert(fc.asyncProperty(worlds, play), {
      numRuns: Number(process.env.PAKU_OTA_PROPERTY_RUNS ?? 6),
    });
  },
  30 * 60_000,
);
