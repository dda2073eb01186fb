import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { bundledPackages, drawThirdParty, lockedPackages, type Package } from '../../bin/third-party.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}
const manifest = JSON.parse(read('package.json')) as Manifest;
const lock = JSON.parse(read('package-lock.json')) as {
  readonly packages: Readonly<
    Record<string, { resolved?: string; integrity?: string; inBundle?: boolean; hasInstallScript?: boolean }>
  >;
};
const bundled = bundledPackages();
const wanted = { ...manifest.dependencies, ...manifest.devDependencies };

/** Licences that ask nothing of whoever uses a program. */
const FREE = [
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
  'MIT-0',
  'Unlicense',
];
/** Tools of this repository, used as they are and passed on to nobody, may ask for changes of their own files. */
const FREE_FOR_TOOLS = [...FREE, 'MPL-2.0'];

const isFree = ({ license }: Package, free: readonly string[]) =>
  license
    .replaceAll(/[()]/g, '')
    .split(' OR ')
    .some((choice) => free.includes(choice));

test('every dependency is pinned to one version, in the manifest as in the lock file', () => {
  const loose = Object.entries(wanted).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version));
  expect(loose).toEqual([]);
  const root = lock.packages[''] as unknown as Manifest;
  expect({ ...root.dependencies, ...root.devDependencies }).toEqual(wanted);
  const locked = lockedPackages();
  const other = Object.entries(wanted).filter(
    ([name, version]) => locked.get(`node_modules/${name}`)?.version !== version,
  );
  expect(other).toEqual([]);
});

test('every package of the lock file is known by its hash, and comes from the registry', () => {
  const entries = Object.entries(lock.packages).filter(([folder, { inBundle }]) => folder !== '' && !inBundle);
  expect(entries.filter(([, { integrity }]) => !/^sha512-[\w+/]{86}==$/.test(integrity ?? ''))).toEqual([]);
  expect(entries.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
});

test('no package runs code when it is installed, except the one that brings its own program', () => {
  const scripts = Object.entries(lock.packages).filter(([, { hasInstallScript }]) => hasInstallScript);
  expect(scripts.map(([folder]) => folder)).toEqual(['node_modules/esbuild']);
});

test('every dependency is used', () => {
  const sources = readdirSync(ROOT, { withFileTypes: true })
    // The state of a local system, in `.local`, changes while it is read.
    .filter(({ name }) => !name.startsWith('.') && !['node_modules', 'cdk.out'].includes(name))
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) =>
      readdirSync(join(ROOT, name), { recursive: true, encoding: 'utf8' }).map((file) => `${name}/${file}`),
    )
    .filter((file) => /\.(tsx?|m?js)$/.test(file) && !file.endsWith('supply-chain.test.ts'))
    .map(read)
    .join('\n');
  const isImported = (name: string) =>
    [name, name.replace('@types/', '')].some((text) => sources.includes(`'${text}'`) || sources.includes(`'${text}/`));
  const idle = Object.keys(wanted).filter((name) => !isImported(name));
  // Programs that package.json runs.
  expect(idle.sort()).toEqual(['@biomejs/biome', 'typescript']);
});

test('no licence binds whoever runs the service, or works on it', async () => {
  const { functions, console } = await bundled;
  expect(functions.length).toBeGreaterThan(20);
  expect([...functions, ...console].filter((each) => !isFree(each, FREE))).toEqual([]);
  expect([...lockedPackages().values()].filter((each) => !isFree(each, FREE_FOR_TOOLS))).toEqual([]);
});

test('docs/third-party.md is of the bundles of today', async () => {
  expect(read('docs/third-party.md')).toBe(await drawThirdParty(await bundled));
});

test('the bill of materials is of the lock file of today', () => {
  const sbom = JSON.parse(read('docs/sbom.cdx.json')) as {
    components: { name: string; version: string; hashes?: { content: string }[] }[];
  };
  const hex = (integrity = '') => Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex');
  const packages = [...lockedPackages().values()];
  const named = (all: readonly { name: string; version: string }[]) =>
    [...new Set(all.map(({ name, version }) => `${name} ${version}`))].sort();
  expect(named(sbom.components)).toEqual(named(packages));
  const hashes = sbom.components.flatMap((component) => component.hashes ?? []).map(({ content }) => content);
  expect(hashes.length).toBeGreaterThan(300);
  const known = new Set(packages.map(({ integrity }) => hex(integrity)));
  expect(hashes.filter((hash) => !known.has(hash))).toEqual([]);
});
