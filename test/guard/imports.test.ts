import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The top folders that each may import from, beside itself: imports go one way. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  core: ['schema'],
  schema: [],
  api: ['core'],
  lambdas: ['api', 'core', 'schema'],
  lib: ['core'],
  bin: ['lambdas', 'lib'],
  fleet: [],
  console: ['api'],
  local: ['api', 'console', 'core', 'fleet'],
  cli: ['api', 'console', 'core', 'local'],
};

/** The folders of core/, each with those that it may import from. The order is that of the layers, the lowest first. */
const CORE: Record<string, readonly string[]> = {
  util: [],
  db: ['schema'],
  image: ['util'],
  policy: ['image', 'util'],
  ingest: ['db', 'util'],
  devices: ['db', 'policy', 'util'],
  releases: ['db', 'policy', 'util'],
  targeting: ['policy', 'util'],
  rollouts: ['db', 'policy', 'targeting', 'util'],
  updates: ['db', 'policy', 'rollouts', 'util'],
  assignment: ['db', 'policy', 'rollouts', 'targeting', 'updates', 'util'],
  orchestrator: ['assignment', 'db', 'devices', 'policy', 'releases', 'rollouts', 'targeting', 'updates', 'util'],
  explain: ['assignment', 'db', 'policy', 'releases', 'rollouts', 'targeting', 'updates', 'util'],
};

/** The folders of lib/, likewise: one per capability, below the stacks that compose them. */
const LIB: Record<string, readonly string[]> = {
  settings: [],
  monitoring: ['settings'],
  shared: ['monitoring', 'settings'],
  database: ['monitoring', 'settings', 'shared'],
  'firmware-store': ['settings', 'shared'],
  'front-door': ['monitoring', 'settings'],
  provisioning: ['database', 'settings', 'shared'],
  downloads: ['database', 'firmware-store', 'front-door', 'settings', 'shared'],
  dispatch: ['database', 'downloads', 'firmware-store', 'settings', 'shared'],
  ingestion: ['database', 'dispatch', 'firmware-store', 'monitoring', 'shared'],
  releases: ['database', 'firmware-store', 'monitoring', 'settings', 'shared'],
  orchestration: ['database', 'dispatch', 'firmware-store', 'monitoring'],
  'operator-api': ['database', 'firmware-store', 'front-door', 'provisioning', 'shared'],
  stacks: [
    'database',
    'dispatch',
    'downloads',
    'firmware-store',
    'front-door',
    'ingestion',
    'monitoring',
    'operator-api',
    'orchestration',
    'provisioning',
    'releases',
    'settings',
  ],
};

/** The folders of local/, likewise. A service imports the kernel only, so that each can be read alone. */
const LOCAL: Record<string, readonly string[]> = {
  kernel: [],
  home: ['kernel'],
  services: ['kernel'],
  template: ['home', 'kernel', 'services'],
  runtime: ['home', 'kernel', 'services', 'template'],
  start: ['home', 'kernel', 'runtime'],
};

interface Import {
  readonly file: string;
  readonly target: string;
}

const tracked = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.tsx?$/.test(file))
    .map((file) => join(folder, file));

const importsOf = (file: string): Import[] =>
  [...readFileSync(join(ROOT, file), 'utf8').matchAll(/(?:from|import\() ?'(\.[^']+)'/g)].map(([, path = '']) => ({
    file,
    target: relative(ROOT, resolve(ROOT, dirname(file), path)),
  }));

const say = ({ file, target }: Import) => `${file} imports ${target}`;
const topOf = (path: string) => path.split('/')[0] ?? '';

/** The nearest folder above a file that has an index.ts; undefined where none has. */
function moduleOf(file: string): string | undefined {
  for (let folder = dirname(file); folder !== '.'; folder = dirname(folder)) {
    if (existsSync(join(ROOT, folder, 'index.ts'))) return folder;
  }
  return undefined;
}

const everything = [...Object.keys(MAY_IMPORT), 'test', 'tools'].flatMap(tracked);
const imports = everything.flatMap(importsOf);

test.each(Object.entries(MAY_IMPORT))('%s imports from itself and from [%s] only', (folder, allowed) => {
  const own = imports.filter(({ file }) => topOf(file) === folder);
  expect(tracked(folder).length).toBeGreaterThan(0);
  expect(own.filter(({ target }) => ![folder, ...allowed].includes(topOf(target))).map(say)).toEqual([]);
});

test('a folder that has an index is imported by its index, except by the tests of that folder', () => {
  const wrong = imports.filter(({ file, target }) => {
    const module = moduleOf(target);
    if (module === undefined || target === `${module}/index.ts` || target.endsWith('.sql')) return false;
    return !file.startsWith(`${module}/`) && !file.startsWith(`test/${module}/`);
  });
  expect(imports.length).toBeGreaterThan(1000);
  expect(wrong.map(say)).toEqual([]);
});

test('every folder of core/, lib/ and local/ has an index', () => {
  const folders = ['core', 'lib', 'local'].flatMap(tracked).map(moduleOf);
  expect(folders).not.toContain(undefined);
  expect(folders.length).toBeGreaterThan(100);
});

describe.each([
  ['core', CORE],
  ['lib', LIB],
  ['local', LOCAL],
])('%s/', (top, layers) => {
  test('has the folders of its layers', () => {
    expect([...new Set(tracked(top).map((file) => file.split('/')[1]))].sort()).toEqual(Object.keys(layers).sort());
  });

  test.each(Object.entries(layers))('%s imports from [%s] only', (folder, allowed) => {
    const wrong = tracked(`${top}/${folder}`)
      .flatMap(importsOf)
      .filter(({ target }) => {
        const [targetTop = '', sub = ''] = target.split('/');
        // The top folders have a test of their own, above; of them core/ must name the schema.
        if (targetTop !== top) return top === 'core' && !allowed.includes(targetTop);
        return ![folder, ...allowed].includes(sub);
      });
    expect(wrong.map(say)).toEqual([]);
  });
});

describe('local/services/', () => {
  const services = [...new Set(tracked('local/services').map((file) => file.split('/')[2] ?? ''))];
  test.each(services)('%s imports the kernel and itself only', (service) => {
    const wrong = tracked(`local/services/${service}`)
      .flatMap(importsOf)
      .filter(({ target }) => !/^local\/kernel\//.test(target) && !target.startsWith(`local/services/${service}/`));
    expect(wrong.map(say)).toEqual([]);
  });
});

describe('core', () => {
  test('knows neither the CDK nor the events of AWS', () => {
    const wrong = tracked('core').filter((file) =>
      /from '(aws-cdk-lib|constructs|aws-lambda)/.test(readFileSync(join(ROOT, file), 'utf8')),
    );
    expect(wrong).toEqual([]);
  });
});

test('the folders of core/, lambdas/, lib/ and local/ import one another without a cycle', () => {
  const graph = new Map<string, Set<string>>();
  for (const { file, target } of ['core', 'lambdas', 'lib', 'local'].flatMap(tracked).flatMap(importsOf)) {
    const [from, to] = [dirname(file), dirname(target)];
    if (from !== to) graph.set(from, (graph.get(from) ?? new Set()).add(to));
  }
  expect(cyclesIn(graph)).toEqual([]);
});

/** Each cycle that a depth-first walk meets, as the folders on it. */
function cyclesIn(graph: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const done = new Set<string>();
  const cycles: string[][] = [];
  function visit(folder: string, path: readonly string[]): void {
    if (path.includes(folder)) cycles.push([...path.slice(path.indexOf(folder)), folder]);
    if (done.has(folder) || path.includes(folder)) return;
    for (const next of graph.get(folder) ?? []) visit(next, [...path, folder]);
    done.add(folder);
  }
  for (const folder of graph.keys()) visit(folder, []);
  return cycles;
}

test('a cycle between folders is found', () => {
  const graph = new Map([
    ['a', new Set(['b'])],
    ['b', new Set(['c'])],
    ['c', new Set(['a'])],
  ]);
  expect(cyclesIn(graph)).toEqual([['a', 'b', 'c', 'a']]);
});

test('the console takes the types of the API, and modules that carry no schema of it', () => {
  const wrong = tracked('console').filter((file) =>
    [...readFileSync(join(ROOT, file), 'utf8').matchAll(/^import (type )?[^;]*? from '([./]+api\/[^']+)'/gms)].some(
      ([, isType, path]) => isType === undefined && !/\/api\/(client|attribute-text)\.ts$/.test(path ?? ''),
    ),
  );
  expect(wrong).toEqual([]);
});

test('the local runtime boots bundles: it imports nothing of the functions but the client of the Data API', () => {
  const targets = tracked('local')
    .flatMap(importsOf)
    .map(({ target }) => target)
    .filter((target) => topOf(target) === 'core');
  expect([...new Set(targets)]).toEqual(['core/db/index.ts']);
});

test('bundles import zod as a namespace: a named import would bundle all of it', () => {
  const wrong = ['core', 'lambdas']
    .flatMap(tracked)
    .filter((file) => /import \{[^}]*\bz\b[^}]*\} from 'zod'/.test(readFileSync(join(ROOT, file), 'utf8')));
  expect(wrong).toEqual([]);
});

test('the stacks of lib/ only compose capabilities: they grant nothing and create no function, queue or rule', () => {
  const wrong = tracked('lib/stacks').filter((file) =>
    /from 'aws-cdk-lib\/|PolicyStatement|addEnvironment/.test(readFileSync(join(ROOT, file), 'utf8')),
  );
  expect(wrong).toEqual([]);
});

test('functions use no part of zod that is left out of their bundles', () => {
  const shim = readFileSync(join(ROOT, 'lambdas/shared/zod-without-locales.js'), 'utf8');
  const leftOut = [...shim.matchAll(/^export const (\w+) = undefined;$/gm)].map(([, name]) => name);
  expect(leftOut).toContain('locales');
  const used = new RegExp(`\\bz\\.(${leftOut.join('|')})\\b`);
  const wrong = ['api', 'core', 'lambdas'].flatMap(tracked).filter((file) => {
    const source = readFileSync(join(ROOT, file), 'utf8');
    return !source.includes("import type * as z from 'zod'") && used.test(source);
  });
  expect(wrong).toEqual([]);
});
