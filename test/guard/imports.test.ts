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
  // The data model is that of a database which the support of the tests opens and migrates.
  bin: ['core', 'lambdas', 'lib', 'test'],
  fleet: [],
  console: ['api'],
  local: ['api', 'console', 'core', 'fleet'],
  cli: ['api', 'console', 'core', 'local'],
};

/** The folders of core/, each with those that it may import from. The order is that of the layers, the lowest first. */
const CORE: Record<string, readonly string[]> = {
  util: [],
  db: ['schema'],
  image: [],
  protocol: ['util'],
  'release-policy': ['image', 'protocol'],
  policy: ['protocol', 'release-policy', 'util'],
  ingest: ['db', 'protocol', 'util'],
  devices: ['db', 'policy', 'protocol', 'util'],
  holds: ['db', 'policy', 'util'],
  releases: ['db', 'policy', 'protocol', 'release-policy', 'util'],
  targeting: ['policy', 'util'],
  'known-issues': ['db', 'policy', 'targeting', 'util'],
  rollouts: ['db', 'holds', 'known-issues', 'policy', 'protocol', 'release-policy', 'releases', 'targeting', 'util'],
  updates: ['db', 'holds', 'policy', 'protocol', 'release-policy', 'rollouts', 'util'],
  assignment: ['db', 'holds', 'known-issues', 'policy', 'protocol', 'rollouts', 'targeting', 'updates', 'util'],
  recovery: ['db', 'holds', 'policy', 'protocol', 'release-policy', 'rollouts', 'util'],
  orchestrator: [
    'assignment',
    'db',
    'devices',
    'holds',
    'known-issues',
    'policy',
    'protocol',
    'recovery',
    'release-policy',
    'releases',
    'rollouts',
    'targeting',
    'updates',
    'util',
  ],
  explain: [
    'assignment',
    'db',
    'holds',
    'known-issues',
    'policy',
    'protocol',
    'release-policy',
    'releases',
    'rollouts',
    'targeting',
    'updates',
    'util',
  ],
};

/** The folders of lib/, likewise: one per capability, below the stacks that compose them. */
const LIB: Record<string, readonly string[]> = {
  settings: [],
  monitoring: ['settings'],
  shared: ['monitoring', 'settings'],
  database: ['monitoring', 'settings', 'shared'],
  'firmware-store': ['settings', 'shared'],
  'front-door': ['monitoring', 'settings'],
  provisioning: ['database', 'monitoring', 'settings', 'shared'],
  downloads: ['database', 'firmware-store', 'front-door', 'settings', 'shared'],
  dispatch: ['database', 'downloads', 'firmware-store', 'monitoring', 'settings', 'shared'],
  ingestion: ['database', 'dispatch', 'firmware-store', 'monitoring', 'shared'],
  releases: ['database', 'firmware-store', 'monitoring', 'settings', 'shared'],
  orchestration: ['database', 'dispatch', 'firmware-store', 'ingestion', 'monitoring', 'provisioning', 'settings'],
  'operator-api': ['database', 'firmware-store', 'front-door', 'provisioning', 'settings', 'shared'],
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

/** The folders of cli/; `.` is what lies beside them. A folder of commands imports no other, which has a test below. */
const CLI: Record<string, readonly string[]> = {
  text: [],
  session: ['text'],
  commands: ['session', 'text'],
  '.': ['commands', 'session'],
};

/** The folders of console/src: first what the features share, then the features, then the application. */
const CONSOLE: Record<string, readonly string[]> = {
  data: [],
  text: [],
  charts: [],
  ui: ['data', 'text'],
  releases: ['data', 'text', 'ui'],
  rollouts: ['charts', 'data', 'releases', 'text', 'ui'],
  holds: ['data', 'text', 'ui'],
  devices: ['data', 'holds', 'text', 'ui'],
  overview: ['charts', 'data', 'holds', 'rollouts', 'text', 'ui'],
  '.': ['data', 'devices', 'holds', 'overview', 'releases', 'rollouts', 'ui'],
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

/** The folder of a file right below `top`: `.` for a file in `top` itself. */
function folderIn(top: string, file: string): string {
  const parts = relative(top, file).split('/');
  return parts.length === 1 ? '.' : (parts[0] ?? '.');
}

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

test.each([
  ['core', 80],
  ['lib', 20],
  ['local', 50],
  ['cli/session', 10],
  ['cli/text', 9],
  ['cli/commands', 30],
  ['console/server', 5],
])('every folder of %s/ has an index', (top, atLeast) => {
  const folders = tracked(top).map(moduleOf);
  expect(folders).not.toContain(undefined);
  expect(folders.length).toBeGreaterThan(atLeast);
});

describe.each([
  ['core', CORE],
  ['lib', LIB],
  ['local', LOCAL],
  ['cli', CLI],
  ['console/src', CONSOLE],
])('%s/', (top, layers) => {
  test('has the folders of its layers', () => {
    const folders = new Set(tracked(top).map((file) => folderIn(top, file)));
    expect([...folders].sort()).toEqual(Object.keys(layers).sort());
  });

  test.each(Object.entries(layers))('%s imports from [%s] only', (folder, allowed) => {
    const wrong = tracked(top)
      .filter((file) => folderIn(top, file) === folder)
      .flatMap(importsOf)
      .filter(({ target }) => {
        // The top folders have a test of their own, above; of them core/ must name the schema.
        if (!target.startsWith(`${top}/`)) return top === 'core' && !allowed.includes(topOf(target));
        return ![folder, ...allowed].includes(folderIn(top, target));
      });
    expect(wrong.map(say)).toEqual([]);
  });
});

test('CONTRIBUTING.md names the folders in an order in which each imports those before it', () => {
  const page = readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `([a-z/]+)\/` +\| (`[^|;]+`)(?:;[^|]*)? \|$/gm)].map(
    ([, top = '', list = '']) => [top, list.replaceAll('`', '').split(', ')],
  );
  const known = { core: CORE, local: LOCAL, cli: CLI, 'console/src': CONSOLE };
  expect(Object.fromEntries(rows)).toEqual(
    Object.fromEntries(Object.entries(known).map(([top, { '.': _, ...layers }]) => [top, Object.keys(layers)])),
  );
  for (const layers of Object.values(known)) {
    for (const [index, [folder, allowed]] of Object.entries(layers).entries()) {
      const before = [...Object.keys(layers).slice(0, index), 'schema'];
      expect([folder, allowed.filter((each) => !before.includes(each))]).toEqual([folder, []]);
    }
  }
});

test('a folder of commands imports no other folder of commands', () => {
  const commands = tracked('cli/commands').flatMap(importsOf);
  const top = 'cli/commands';
  const wrong = commands.filter(
    ({ file, target }) => target.startsWith(`${top}/`) && folderIn(top, file) !== folderIn(top, target),
  );
  expect(commands.length).toBeGreaterThan(50);
  expect(wrong.map(say)).toEqual([]);
});

test('the server of the console and its pages import nothing of each other', () => {
  const wrong = tracked('console')
    .flatMap(importsOf)
    .filter(
      ({ file, target }) => target.startsWith('console/') && folderIn('console', file) !== folderIn('console', target),
    );
  expect(wrong.map(say)).toEqual([]);
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

type Graph = ReadonlyMap<string, ReadonlySet<string>>;

/** @param nodeOf the node that a file belongs to */
function graphOf(nodeOf: (file: string) => string): Graph {
  const graph = new Map<string, Set<string>>();
  for (const { file, target } of Object.keys(MAY_IMPORT).flatMap(tracked).flatMap(importsOf)) {
    const [from, to] = [nodeOf(file), nodeOf(target)];
    if (from !== to) graph.set(from, (graph.get(from) ?? new Set()).add(to));
  }
  return graph;
}

/** Each cycle that a depth-first walk meets, as the nodes on it. */
function cyclesIn(graph: Graph): string[][] {
  const done = new Set<string>();
  const cycles: string[][] = [];
  function visit(node: string, path: readonly string[]): void {
    if (path.includes(node)) cycles.push([...path.slice(path.indexOf(node)), node]);
    if (done.has(node) || path.includes(node)) return;
    for (const next of graph.get(node) ?? []) visit(next, [...path, node]);
    done.add(node);
  }
  for (const node of graph.keys()) visit(node, []);
  return cycles;
}

test.each([
  ['folders', dirname],
  ['files', (file: string) => file],
])('%s import one another without a cycle', (_, nodeOf) => {
  const graph = graphOf(nodeOf);
  expect(graph.size).toBeGreaterThan(40);
  expect(cyclesIn(graph)).toEqual([]);
});

test('a cycle is found', () => {
  const graph = new Map([
    ['a', new Set(['b'])],
    ['b', new Set(['c'])],
    ['c', new Set(['a'])],
  ]);
  expect(cyclesIn(graph)).toEqual([['a', 'b', 'c', 'a']]);
});

/** Modules of api/ that carry no schema, so that a browser can load them. */
const FOR_BROWSERS = [
  'api/describe-revocation.ts',
  'api/attribute-text.ts',
  'api/client.ts',
  'api/describe-filter.ts',
  'api/device-draft.ts',
  'api/describe-plan.ts',
  'api/fact-text.ts',
  'api/limit-per-text.ts',
  'api/rollout-report.ts',
  'api/uploader-text.ts',
];

/** What a file imports as a value. */
const valueImportsOf = (file: string): Import[] =>
  [...readFileSync(join(ROOT, file), 'utf8').matchAll(/^import (?!type\b)[^;]*? from '(\.[^']+)'/gms)].map(
    ([, path = '']) => ({ file, target: relative(ROOT, resolve(ROOT, dirname(file), path)) }),
  );

test('the console takes the types of the API, and the values of modules without a schema', () => {
  const values = tracked('console').flatMap(valueImportsOf);
  const ofApi = values.filter(({ target }) => topOf(target) === 'api');
  expect(ofApi.length).toBeGreaterThan(3);
  expect(ofApi.filter(({ target }) => !FOR_BROWSERS.includes(target)).map(say)).toEqual([]);
});

test.each(FOR_BROWSERS)('%s imports no schema', (file) => {
  expect(readFileSync(join(ROOT, file), 'utf8')).not.toMatch(/^import (?!type\b)[^;]*? from '[^.]/m);
  expect(
    valueImportsOf(file)
      .filter(({ target }) => !FOR_BROWSERS.includes(target))
      .map(say),
  ).toEqual([]);
});

test('the local runtime boots bundles: it imports nothing of the functions but the client of the Data API, and common tools', () => {
  const targets = tracked('local')
    .flatMap(importsOf)
    .map(({ target }) => target)
    .filter((target) => topOf(target) === 'core');
  expect([...new Set(targets)]).toEqual(['core/db/index.ts', 'core/util/index.ts']);
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
