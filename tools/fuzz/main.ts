import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { TARGETS } from './targets.ts';

const USAGE = `npm run fuzz -- [options] [targets]
Feeds what reads bytes of others with hostile ones, and stops at the first that is not read or refused as it should be.

  targets     ${Object.keys(TARGETS).join(' | ')} (all)
  --runs N    inputs a target (1000000)
  --seed N    to repeat a run (the time)`;

/** The heap is measured after this number of runs. */
const RUNS_PER_ROUND = 50_000;
/** Maximum growth of the heap for any number of inputs. */
const MAX_GROWTH_MIB = 32;

async function fuzz(name: string, runs: number, seed: number): Promise<boolean> {
  const property = TARGETS[name];
  if (property === undefined)
    throw new Error(`there is no target ${name}; there are ${Object.keys(TARGETS).join(', ')}`);
  const since = Date.now();
  let first: number | undefined;
  for (let done = 0; done < runs; done += RUNS_PER_ROUND) {
    const numRuns = Math.min(RUNS_PER_ROUND, runs - done);
    const result = await fc.check(property, { numRuns, seed: seed + done / RUNS_PER_ROUND });
    if (result.failed) {
      console.error(fc.defaultReportMessage(result));
      return false;
    }
    const heap = heapMib();
    first ??= heap;
    if (heap - first <= MAX_GROWTH_MIB) continue;
    console.error(`${name}: the heap grew from ${first} to ${heap} MiB`);
    return false;
  }
  const seconds = Math.round((Date.now() - since) / 1000);
  console.log(`${name}: ${runs} inputs in ${seconds} s, seed ${seed}; heap ${first} MiB, then ${heapMib()} MiB`);
  return true;
}

function heapMib(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return Math.round(process.memoryUsage().heapUsed / 1024 / 1024);
}

const { values, positionals } = parseArgs({
  options: { help: { type: 'boolean' }, runs: { type: 'string' }, seed: { type: 'string' } },
  allowPositionals: true,
});
const runs = Number(values.runs ?? 1_000_000);
const seed = Number(values.seed ?? Date.now() % 1_000_000_000);
if (values.help || !Number.isSafeInteger(runs) || !Number.isSafeInteger(seed)) console.log(USAGE);
else
  for (const name of positionals.length > 0 ? positionals : Object.keys(TARGETS)) {
    if (!(await fuzz(name, runs, seed))) process.exitCode = 1;
  }
