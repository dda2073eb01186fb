import { runTick, type Tick } from '../../core/orchestrator/index.ts';
import { openTestDatabase, type TestDatabase } from '../../test/support/database.ts';
import { addRelease, addRollout } from '../../test/support/rows.ts';
import { type Benchmark, number, type Spread, spreadOf, spreadText, table, timed } from './bench.ts';
import { counting } from './counting.ts';
import { makeFleet, settle } from './fleet-data.ts';
import { describePostgres } from './machine.ts';
import { lineChart } from './plot.ts';

const FLEETS = [10_000, 100_000, 1_000_000];
const ROUNDS = 5;
/** What one tick claims for a rollout at most. */
const CLAIMS = 5_000;

interface FleetFigures {
  readonly devices: number;
  /** The tick in which the rollout for everyone begins: it counts its members, and the others look at theirs anew. */
  readonly beginningMs: Spread;
  /** The tick after, which claims 5,000 devices. */
  readonly claimingMs: Spread;
  /** A tick that claims 5,000 when half of the fleet has been claimed. */
  readonly halfwayMs: Spread | null;
  /** A tick when every device has been claimed and none has ended. */
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
  const claiming = (devices: number) => fleets.find((fleet) => fleet.devices === devices)?.claimingMs.median ?? 0;
  return { postgres, fleets, ratio: claiming(1_000_000) / claiming(10_000) };
}

async function measure(db: TestDatabase, devices: number, log: (line: string) => void): Promise<FleetFigures> {
  const beginning: number[] = [];
  const claiming: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await beginAnew(db);
    beginning.push((await tick(db)).ms);
    const { ms, claimed } = await tick(db);
    if (claimed < 0.9 * CLAIMS)
      throw new Error(`claimed ${claimed} of ${devices} devices in a tick, expected ${CLAIMS}`);
    claiming.push(ms);
  }
  log(`${devices}: claiming ${claiming.map(Math.round).join(' ')} ms`);
  const hasHalf = devices > 4 * CLAIMS && (await tickUntil(db, (claimed) => claimed >= devices / 2));
  const halfway = hasHalf ? await repeat(ROUNDS, () => tick(db)) : [];
  const watching = (await tickUntil(db, (_, inTick) => inTick === 0)) ? await repeat(ROUNDS, () => tick(db)) : [];
  return {
    devices,
    beginningMs: spreadOf(beginning),
    claimingMs: spreadOf(claiming),
    halfwayMs: halfway.length === 0 ? null : spreadOf(halfway.map(({ ms }) => ms)),
    watchingMs: watching.length === 0 ? null : spreadOf(watching.map(({ ms }) => ms)),
    watchingStatements: watching[0]?.statements ?? null,
  };
}

/**
 * Three rollouts: one for a group and one for a customer, which have claimed their devices, and the newest, which goes
 * before them, for everyone at once.
 */
async function beginAnew(db: TestDatabase): Promise<void> {
  await db.owner.query(
    `TRUNCATE rollout_configurations, firmware_releases, device_update_status, update_counts, outcome_counts, device_changes
     CASCADE`,
  );
  for (const version of ['1.5.0', '1.6.0', '2.0.0']) await addRelease(db.app, version);
  await addRollout(db.app, 'vans', '1.5.0', { target_type: 'group', target_filter: { groups: ['vans'] }, stages: [] });
  await addRollout(db.app, 'customer', '1.6.0', { target_filter: { metadata: { customer: 'c7' } }, stages: [] });
  await tickUntil(db, (_, inTick) => inTick === 0);
  await settle(db.owner);
  await addRollout(db.app, 'everyone', '2.0.0', { stages: [] });
}

async function tick(db: TestDatabase): Promise<{ ms: number; claimed: number; statements: number }> {
  const sql = counting(db.app);
  const [result, ms] = await timed<Tick>(() => runTick(sql, new Date(), async () => {}));
  if (result.problems[0] !== undefined) throw result.problems[0].error;
  return { ms, claimed: result.rollouts.reduce((sum, { assigned }) => sum + assigned, 0), statements: sql.statements };
}

/** Long enough for a fleet of a million; a tick that has become slow is given up on. */
const PATIENCE_MS = 240_000;

/** @returns false where it took too long */
async function tickUntil(db: TestDatabase, isThere: (claimed: number, inTick: number) => boolean): Promise<boolean> {
  const until = performance.now() + PATIENCE_MS;
  for (let claimed = 0; ; ) {
    const { claimed: more } = await tick(db);
    claimed += more;
    if (isThere(claimed, more)) break;
    if (performance.now() > until) return false;
  }
  await settle(db.owner);
  return true;
}

async function repeat<T>(times: number, work: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let n = 0; n < times; n++) results.push(await work());
  return results;
}

const bestRatio = (fleets: readonly FleetFigures[]) =>
  (fleets.at(-1)?.claimingMs.least ?? Number.NaN) / (fleets[0]?.claimingMs.least ?? Number.NaN);

const optional = (spread: Spread | null) => (spread === null ? '–' : spreadText(spread));

function page({ postgres, fleets, ratio }: Figures): string {
  const rows = fleets.map((fleet) => [
    number(fleet.devices),
    spreadText(fleet.beginningMs),
    spreadText(fleet.claimingMs),
    optional(fleet.halfwayMs),
    optional(fleet.watchingMs),
  ]);
  return `One tick that evaluates three rollouts which want the same devices (a group, a customer, everyone) and claims 5,000
devices; milliseconds, median and spread. *Beginning*: the tick in which the rollout for
everyone begins and counts its members, as at each of its stages, and in which the others, over which it wins, look at all of
theirs anew. *Claiming*: the tick after. *Halfway*: when half of the fleet has been claimed. *Watching*: every device is claimed
and nothing has changed. ${postgres}, through the Data API endpoint of the local runtime.

${table(['devices', 'beginning', 'claiming 5,000', 'halfway', 'watching'], rows)}

Goal: claiming at 1,000,000 devices takes at most 2 times as long as at 10,000. It takes **${number(ratio)} times** as
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
        { label: 'claiming 5,000', values: fleets.map(({ claimingMs }) => claimingMs.median) },
        { label: 'halfway', values: fleets.map(({ halfwayMs }) => halfwayMs?.median ?? null) },
        { label: 'watching', values: fleets.map(({ watchingMs }) => watchingMs?.median ?? null) },
      ],
    }),
  }),
};
