import { runTick, type Tick } from '../../core/orchestrator/index.ts';
import { openTestDatabase, type TestDatabase } from '../../test/support/database.ts';
import { addRelease, addRollout } from '../../test/support/rows.ts';
import { type Benchmark, number, type Spread, spreadOf, spreadText, table, timed } from './bench.ts';
import { counting } from './counting.ts';
import { makeFleet, vacuum } from './fleet-data.ts';
import { describePostgres } from './machine.ts';
import { lineChart } from './plot.ts';

const FLEETS = [10_000, 100_000, 1_000_000];
const ROUNDS = 5;
/** Maximum number of devices that one tick assigns per rollout. */
const PER_TICK = 5_000;

interface FleetFigures {
  readonly devices: number;
  /**
   * The tick in which the rollout to all devices begins: it counts its targets, and the other rollouts count theirs
   * again.
   */
  readonly beginningMs: Spread;
  /** The next tick, which assigns 5,000 devices. */
  readonly assigningMs: Spread;
  /** A tick that assigns 5,000 devices when half of the fleet is assigned. */
  readonly halfwayMs: Spread | null;
  /** A tick when every device is assigned and no update is closed. */
  readonly watchingMs: Spread | null;
  readonly watchingStatements: number | null;
}

interface Figures {
  readonly postgres: string;
  readonly fleets: readonly FleetFigures[];
  readonly ratio: number;
}

async function run(log: (line: string) => void): Promise<Figures> {
  const fleets: FleetFigures[] = [];
  let postgres = '';
  for (const devices of FLEETS) {
    const db = await openTestDatabase();
    try {
      postgres = await describePostgres(db.app);
      await makeFleet(db.owner, devices);
      fleets.push(await measure(db, devices, log));
    } finally {
      await db.close();
    }
    log(JSON.stringify(fleets.at(-1)));
  }
  const assigning = (devices: number) => fleets.find((fleet) => fleet.devices === devices)?.assigningMs.median ?? 0;
  return { postgres, fleets, ratio: assigning(1_000_000) / assigning(10_000) };
}

async function measure(db: TestDatabase, devices: number, log: (line: string) => void): Promise<FleetFigures> {
  const beginning: number[] = [];
  const assigning: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await resetRollouts(db);
    beginning.push((await tick(db)).ms);
    const { ms, assigned } = await tick(db);
    if (assigned < 0.9 * PER_TICK)
      throw new Error(`assigned ${assigned} of ${devices} devices in a tick, expected ${PER_TICK}`);
    assigning.push(ms);
  }
  log(`${devices}: assigning ${assigning.map(Math.round).join(' ')} ms`);
  const hasHalf = devices > 4 * PER_TICK && (await tickUntil(db, (assigned) => assigned >= devices / 2));
  const halfway = hasHalf ? await repeat(ROUNDS, () => tick(db)) : [];
  const watching = (await tickUntil(db, (_, inTick) => inTick === 0)) ? await repeat(ROUNDS, () => tick(db)) : [];
  return {
    devices,
    beginningMs: spreadOf(beginning),
    assigningMs: spreadOf(assigning),
    halfwayMs: halfway.length === 0 ? null : spreadOf(halfway.map(({ ms }) => ms)),
    watchingMs: watching.length === 0 ? null : spreadOf(watching.map(({ ms }) => ms)),
    watchingStatements: watching[0]?.statements ?? null,
  };
}

/**
 * Inserts three rollouts: one to a group and one to a customer, which have assigned their devices, and the newest to all
 * devices in one stage, which has a higher priority.
 */
async function resetRollouts(db: TestDatabase): Promise<void> {
  await db.owner.query(
    `TRUNCATE rollout_configurations, firmware_releases, device_update_status, update_counts, outcome_counts, device_changes
     CASCADE`,
  );
  for (const version of ['1.5.0', '1.6.0', '2.0.0']) await addRelease(db.app, version);
  await addRollout(db.app, 'vans', '1.5.0', { target_type: 'group', target_filter: { groups: ['vans'] }, stages: [] });
  await addRollout(db.app, 'customer', '1.6.0', { target_filter: { metadata: { customer: 'c7' } }, stages: [] });
  await tickUntil(db, (_, inTick) => inTick === 0);
  await vacuum(db.owner);
  await addRollout(db.app, 'everyone', '2.0.0', { stages: [] });
}

async function tick(db: TestDatabase): Promise<{ ms: number; assigned: number; statements: number }> {
  const sql = counting(db.app);
  const [result, ms] = await timed<Tick>(() => runTick(sql, new Date(), async () => {}));
  if (result.problems[0] !== undefined) throw result.problems[0].error;
  return {
    ms,
    assigned: result.rollouts.reduce((sum, rollout) => sum + rollout.assigned, 0),
    statements: sql.statements,
  };
}

/** Long enough for a fleet of a million. */
const TIMEOUT_MS = 240_000;

/** @returns false after a timeout */
async function tickUntil(db: TestDatabase, isThere: (assigned: number, inTick: number) => boolean): Promise<boolean> {
  const until = performance.now() + TIMEOUT_MS;
  for (let assigned = 0; ; ) {
    const { assigned: more } = await tick(db);
    assigned += more;
    if (isThere(assigned, more)) break;
    if (performance.now() > until) return false;
  }
  await vacuum(db.owner);
  return true;
}

async function repeat<T>(times: number, work: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let n = 0; n < times; n++) results.push(await work());
  return results;
}

const bestRatio = (fleets: readonly FleetFigures[]) =>
  (fleets.at(-1)?.assigningMs.least ?? Number.NaN) / (fleets[0]?.assigningMs.least ?? Number.NaN);

const optional = (spread: Spread | null) => (spread === null ? '–' : spreadText(spread));

function page({ postgres, fleets, ratio }: Figures): string {
  const rows = fleets.map((fleet) => [
    number(fleet.devices),
    spreadText(fleet.beginningMs),
    spreadText(fleet.assigningMs),
    optional(fleet.halfwayMs),
    optional(fleet.watchingMs),
  ]);
  return `One tick that evaluates three rollouts which want the same devices (a group, a customer, everyone) and assigns 5,000
devices; milliseconds, median and spread. *Beginning*: the tick in which the rollout for
everyone begins and counts its members, as at each of its stages, and in which the others, over which it wins, look at all of
theirs anew. *Assigning*: the tick after. *Halfway*: when half of the fleet has been assigned. *Watching*: every device is assigned
and nothing has changed. ${postgres}, through the Data API endpoint of the local runtime.

${table(['devices', 'beginning', 'assigning 5,000', 'halfway', 'watching'], rows)}

Goal: assigning at 1,000,000 devices takes at most 2 times as long as at 10,000. It takes **${number(ratio)} times** as
long by the medians, ${number(bestRatio(fleets))} times by the best rounds. What a tick reads is the same at every size, which an ordinary test keeps by
the plans; how long it waits for that depends on what else the machine does.

![Time of a tick by size of the fleet](performance/tick.svg)`;
}

export const tickBenchmark: Benchmark<Figures> = {
  name: 'tick',
  title: 'Orchestrator: one tick',
  run,
  page,
  plots: ({ fleets }) => ({
    tick: lineChart({
      title: 'Time of a tick by size of the fleet',
      x: fleets.map(({ devices }) => number(devices)),
      xLabel: 'devices',
      yLabel: 'ms a tick',
      series: [
        { label: 'assigning 5,000', values: fleets.map(({ assigningMs }) => assigningMs.median) },
        { label: 'halfway', values: fleets.map(({ halfwayMs }) => halfwayMs?.median ?? null) },
        { label: 'watching', values: fleets.map(({ watchingMs }) => watchingMs?.median ?? null) },
      ],
    }),
  }),
};
