import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { apiBenchmark } from './api.ts';
import { atRestBenchmark } from './at-rest.ts';
import type { Benchmark } from './bench.ts';
import { dispatchBenchmark } from './dispatch.ts';
import { functionsBenchmark } from './functions.ts';
import { ingestionBenchmark } from './ingestion.ts';
import { dropLargeDatabase } from './large-data.ts';
import { describeMachine } from './machine.ts';
import { pageOf, type Result } from './page.ts';
import { rulesBenchmark, socketsBenchmark } from './system.ts';
import { tickBenchmark } from './tick.ts';

const BENCHMARKS: readonly Benchmark[] = [
  ingestionBenchmark,
  tickBenchmark,
  apiBenchmark,
  dispatchBenchmark,
  functionsBenchmark,
  socketsBenchmark,
  rulesBenchmark,
  atRestBenchmark,
];

const DOCS = new URL('../../docs/', import.meta.url);
const RESULTS = new URL('performance/', DOCS);

const USAGE = `npm run bench [-- name …]
Measures, writes docs/performance/<name>.json and plots, and makes docs/performance.md of all results that are there.
Benchmarks of the database need a PostgreSQL server that may make databases: TEST_DATABASE_URL=postgresql://…

  ${BENCHMARKS.map(({ name, title }) => `${name.padEnd(12)}${title}`).join('\n  ')}
  page        makes docs/performance.md anew without measuring
  drop        removes the large database that \`api\` made and kept`;

async function measure(benchmark: Benchmark): Promise<void> {
  const machine = describeMachine();
  console.log(`== ${benchmark.title} (load ${machine.loadBefore})`);
  const figures = await benchmark.run((line) => console.log(`   ${line}`));
  const result: Result = { name: benchmark.name, machine, figures };
  writeFileSync(new URL(`${benchmark.name}.json`, RESULTS), `${JSON.stringify(result, null, 2)}\n`);
}

/** Writes the page and its plots from the stored results. */
function writePage(): void {
  const results = readdirSync(RESULTS)
    .filter((file) => file.endsWith('.json'))
    .map((file) => JSON.parse(readFileSync(new URL(file, RESULTS), 'utf8')) as Result);
  for (const { name, figures } of results) {
    const plots = BENCHMARKS.find((benchmark) => benchmark.name === name)?.plots?.(figures) ?? {};
    for (const [plot, svg] of Object.entries(plots)) writeFileSync(new URL(`${plot}.svg`, RESULTS), svg);
  }
  writeFileSync(new URL('performance.md', DOCS), pageOf(BENCHMARKS, results));
}

async function main(names: readonly string[]): Promise<void> {
  const known = [...BENCHMARKS.map(({ name }) => name), 'page', 'drop'];
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`${unknown.join(', ')}: expected some of ${known.join(', ')}\n\n${USAGE}`);
  if (names.includes('drop')) await dropLargeDatabase();
  mkdirSync(RESULTS, { recursive: true });
  for (const benchmark of BENCHMARKS) {
    if (names.length > 0 && !names.includes(benchmark.name)) continue;
    await measure(benchmark);
    writePage();
  }
  writePage();
}

await main(process.argv.slice(2));
