import { type Benchmark, table } from './bench.ts';
import type { Machine } from './machine.ts';

/** The stored figures of a benchmark. */
export interface Result {
  readonly name: string;
  readonly machine: Machine;
  readonly figures: unknown;
}

const INTRODUCTION = `# Performance

What this service takes, measured by \`npm run bench\`, which anyone can repeat; this page and its plots are made by it.
A figure is a count (statements, bytes, calls), or a ratio to something measured in the same run, with the median and the
spread of several runs; times alone say as much about the machine. Nothing here was measured on AWS: the functions are the
bundles that are deployed, the database is a PostgreSQL server, and between them is the local runtime's Data API endpoint.
Counts and plans that must not change are kept by ordinary tests; times are looked at by people.`;

/** The text of docs/performance.md from the stored results. */
export function pageOf(benchmarks: readonly Benchmark[], results: readonly Result[]): string {
  const measured = benchmarks.flatMap((benchmark) => {
    const result = results.find(({ name }) => name === benchmark.name);
    return result === undefined ? [] : [{ benchmark, ...result }];
  });
  const sections = measured.map(
    ({ benchmark, name, figures }) => `## ${benchmark.title}

${benchmark.page(figures)}

Again: \`npm run bench -- ${name}\`. As JSON: [${name}.json](performance/${name}.json).`,
  );
  return `${[INTRODUCTION, ...sections, machines(measured)].join('\n\n')}\n`;
}

function machines(measured: readonly { readonly name: string; readonly machine: Machine }[]): string {
  const rows = measured.map(({ name, machine: m }) => [
    name,
    m.at.slice(0, 16).replace('T', ' '),
    `${m.processor}, ${m.cores} cores, ${m.memoryGiB} GiB`,
    m.node,
    m.loadBefore,
  ]);
  return `## Where it was measured

A load well above 0 before the benchmark began says that the machine was busy with other things.

${table(['benchmark', 'at (UTC)', 'machine', 'Node', 'load before'], rows)}`;
}
