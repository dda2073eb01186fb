import { parseArgs } from 'node:util';
import { MIX_NAMES, MIXES, type MixName } from './mixes.ts';
import { BUILD_NAMES, DEFAULT_STORY, playStory, type Story, type StoryOptions } from './story.ts';

export const MATRIX_USAGE = `npm run simulate -- --matrix [options]
Many stories: every mix with every build and seed, and one line for each mix, size and build. With TEST_DATABASE_URL
several run at the same time, each in a database of its own.

  --mixes A,B        ${MIX_NAMES.join(', ')} (all)
  --builds A,B       (all)
  --sizes N,N        devices of a fleet (20,1000)
  --seeds N          stories of each cell, with the seeds 1 to N (5)
  --parallel N       stories at the same time (1; PGlite only 1)`;

interface Cell {
  readonly mix: MixName;
  readonly devices: number;
  readonly build: StoryOptions['build'];
}

type Result = Story & { readonly seed: number };

/** A bad build may reach this many devices of a fleet, and no more. */
export const allowedReach = (devices: number) => Math.max(5, Math.ceil(devices * 0.02) - 1);

/** The seeds whose story did not end as it should. */
export function findFailures({ build, devices }: Cell, results: readonly Result[]): Result[] {
  if (build === 'rolls-back-later') return results.filter((result) => !isShown(result) || isHaltedLate(result));
  // The evidence comes an hour after the update, so no number of devices is a bound.
  if (build === 'rolls-back-soon') return results.filter((result) => !isShown(result) || result.ended !== 'halted');
  if (build !== 'good')
    return results.filter(({ ended, reached }) => ended !== 'halted' || reached > allowedReach(devices));
  return results.filter(({ ended, stuck }) => ended === 'halted' || ended === 'still running' || stuck > 0);
}

/** Every late rollback is counted and listed. */
const isShown = ({ lateRollbacks, listed }: Result) => lateRollbacks > 0 && listed === lateRollbacks;

/** A rollout that was complete is not halted afterwards. */
const isHaltedLate = ({ events }: Result) => {
  const types = events.map(({ type }) => type);
  const completed = types.indexOf('rollout_completed');
  return completed >= 0 && types.includes('rollout_halted', completed);
};

/** Plays one story of a cell. */
export const playCell = async ({ mix, devices, build }: Cell, seed: number): Promise<Result> => ({
  ...(await playStory({ ...DEFAULT_STORY, ...MIXES[mix].options, devices, build, seed })),
  seed,
});

/** Runs the stories that the arguments name, and prints a table. @returns the exit code: 1 if a story ended otherwise */
export async function runMatrix(args: string[]): Promise<number> {
  const { cells, seeds, parallel } = readArguments(args);
  let failures = 0;
  console.log(
    '| mix | devices | build | halted | completed | reached, median (most) | hours, median | stuck | failures |',
  );
  console.log('| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |');
  for (const cell of cells) {
    const results = await playSeeds(cell, seeds, parallel);
    const failed = findFailures(cell, results);
    failures += failed.length;
    console.log(toLine(cell, results, failed));
    for (const { seed, ended, reached, stuck, reason } of failed)
      console.error(`  seed ${seed}: ${ended}, reached ${reached}, stuck ${stuck}, ${reason}`);
  }
  return failures === 0 ? 0 : 1;
}

async function playSeeds(cell: Cell, seeds: number, parallel: number): Promise<Result[]> {
  const results: Result[] = [];
  let next = 1;
  const worker = async () => {
    while (next <= seeds) results.push(await playCell(cell, next++));
  };
  await Promise.all(Array.from({ length: Math.min(parallel, seeds) }, worker));
  return results.sort((a, b) => a.seed - b.seed);
}

function toLine({ mix, devices, build }: Cell, results: readonly Result[], failed: readonly Result[]): string {
  const halted = results.filter(({ ended }) => ended === 'halted').length;
  // A rollout also waits for devices that have lost their power, until it gives them up.
  const isComplete = ({ ended }: Result) => ended === 'completed' || ended === 'waiting for devices without power';
  const reached = results.map((each) => each.reached);
  const columns = [
    MIXES[mix].title,
    devices,
    build,
    `${halted} of ${results.length}`,
    `${results.filter(isComplete).length} of ${results.length}`,
    `${median(reached)} (${Math.max(...reached)})`,
    median(results.map(({ hours }) => hours)).toFixed(1),
    build === 'good' ? Math.max(...results.map(({ stuck }) => stuck)) : '–',
    failed.length === 0 ? 'none' : `seeds ${failed.map(({ seed }) => seed).join(', ')}`,
  ];
  return `| ${columns.join(' | ')} |`;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function readArguments(args: string[]): { cells: Cell[]; seeds: number; parallel: number } {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args,
    options: { mixes: text, builds: text, sizes: text, seeds: text, parallel: text },
  });
  const mixes = readNames('mixes', values.mixes, MIX_NAMES);
  const builds = readNames('builds', values.builds, BUILD_NAMES);
  const sizes = (values.sizes ?? '20,1000').split(',').map((size) => readNumber('sizes', size));
  const cells = mixes.flatMap((mix) =>
    sizes.flatMap((devices) => builds.map((build): Cell => ({ mix, devices, build }))),
  );
  return {
    cells,
    seeds: readNumber('seeds', values.seeds ?? '5'),
    parallel: process.env.TEST_DATABASE_URL ? readNumber('parallel', values.parallel ?? '1') : 1,
  };
}

function readNames<Name extends string>(option: string, value: string | undefined, known: readonly Name[]): Name[] {
  if (value === undefined) return [...known];
  return value.split(',').map((name) => {
    const found = known.find((each) => each === name);
    if (found === undefined) throw new Error(`--${option} ${name}: expected one of ${known.join(', ')}`);
    return found;
  });
}

function readNumber(option: string, value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${option} ${value}: expected a number of 1 or more`);
  return number;
}
