import { execFileSync } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ENV } from '../../core/util/index.ts';
import { synthesize } from '../../local/start/index.ts';
import { ASSEMBLY } from '../../test/support/assembly.ts';
import { bundlesIn } from '../../test/support/bundles.ts';
import { type Benchmark, number, type Spread, spreadOf, spreadText, table } from './bench.ts';
import { barChart } from './plot.ts';
import { measureRegistering, type Registering } from './registering.ts';

const RUNS = 7;
const IMPORT_TIME = fileURLToPath(new URL('import-time.mjs', import.meta.url));

interface BundleFigures {
  readonly name: string;
  readonly bytes: number;
  readonly importMs: Spread;
}

interface Figures {
  readonly bundles: readonly BundleFigures[];
  readonly registering: readonly Registering[];
}

async function run(log: (line: string) => void): Promise<Figures> {
  await synthesize(ASSEMBLY);
  const bundles = bundlesIn(ASSEMBLY).map(({ name, file, bytes }) => {
    const importMs = spreadOf(Array.from({ length: RUNS }, () => importTime(file)));
    log(`${name}: ${number(bytes)} bytes, ${spreadText(importMs, ' ms')}`);
    return { name, bytes, importMs };
  });
  return { bundles, registering: await measureRegistering(log) };
}

/** Functions read these variables at import, but do not use the values before the first event. */
const ENVIRONMENT = {
  ...Object.fromEntries(Object.values(ENV).map((name) => [name, 'x'])),
  ...Object.fromEntries([ENV.models, ENV.signing, ENV.deadLetters].map((name) => [name, '{}'])),
  AWS_REGION: 'eu-west-1',
};

function importTime(file: string): number {
  const output = execFileSync(process.execPath, [IMPORT_TIME, pathToFileURL(file).href], {
    env: ENVIRONMENT,
    encoding: 'utf8',
  });
  return Number(output.trim().split('\n').at(-1));
}

function page({ bundles, registering }: Figures): string {
  const rows = bundles.map(({ name, bytes, importMs }) => [name, number(bytes / 1000), spreadText(importMs)]);
  const slow = bundles.filter(({ importMs }) => importMs.median > 150);
  const verdict = slow.length === 0 ? 'All are within it.' : `Missed by: ${slow.map(({ name }) => name).join(', ')}.`;
  return `Bytes of each minified bundle, which an ordinary test keeps, and how long its import takes in a fresh process.

${table(['function', 'KB', 'import, ms'], rows)}

Goals: at most 900 KB, of the functions that devices wait for 700; an import in at most 150 ms (median). ${verdict}

Registering a release, which reads the whole image, in a fresh process of its own with the bundle, resident memory at most:

${table(
  ['image, KiB', 'MiB'],
  registering.map(({ imageBytes, peakMiB }) => [number(imageBytes / 1024), spreadText(peakMiB)]),
)}

![Bytes of the bundles](performance/functions.svg)`;
}

export const functionsBenchmark: Benchmark<Figures> = {
  name: 'functions',
  title: 'Functions: bundles',
  run,
  page,
  plots: ({ bundles }) => ({
    functions: barChart({
      title: 'Size of the bundles',
      unit: 'KB',
      bars: bundles.map(({ name, bytes }) => ({ label: name, value: bytes / 1000 })),
      goal: { label: 'goal 900 KB', value: 900 },
    }),
  }),
};
