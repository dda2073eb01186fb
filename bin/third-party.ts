import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

export interface Package {
  readonly name: string;
  readonly version: string;
  /** An SPDX expression. */
  readonly license: string;
  /** `sha512-…` of the archive; a package that is bundled in another one has no archive. */
  readonly integrity: string | undefined;
}

interface LockEntry extends Omit<Package, 'name'> {
  readonly inBundle?: boolean;
}

/** Every package of the lock file, by its folder `node_modules/…`. */
export function lockedPackages(): Map<string, Package> {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockEntry>;
  };
  const entries = Object.entries(packages).filter(([folder]) => folder !== '');
  return new Map(
    entries.map(([folder, { version, license, integrity }]) => {
      return [folder, { name: folder.slice(folder.lastIndexOf('node_modules/') + 13), version, license, integrity }];
    }),
  );
}

/** Packages with code in a bundle, in the order of their names. */
async function packagesIn(entryPoints: readonly string[], platform: 'node' | 'browser'): Promise<Package[]> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [...entryPoints],
    outdir: 'never-written',
    write: false,
    bundle: true,
    metafile: true,
    logLevel: 'error',
    platform,
    format: 'esm',
    ...(platform === 'node' ? { mainFields: ['module', 'main'] } : { jsx: 'automatic' }),
    loader: { '.sql': 'text' },
  });
  const locked = lockedPackages();
  const parts = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.entries(inputs));
  const folders = parts.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([file]) => folderOf(file));
  const found = new Set(folders.flatMap((folder) => locked.get(folder) ?? []));
  return [...found].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The package folder of a file, as in the lock file; empty for a file of this repository. */
const folderOf = (file: string): string =>
  /node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? '';

export interface Bundled {
  readonly functions: readonly Package[];
  readonly console: readonly Package[];
}

/** Third-party packages in the Lambda functions and in the pages of the console. */
export async function bundledPackages(): Promise<Bundled> {
  const functions = readdirSync(join(ROOT, 'lambdas'))
    .filter((name) => name !== 'shared')
    .map((name) => `lambdas/${name}/handler.ts`);
  return {
    functions: await packagesIn(functions, 'node'),
    console: await packagesIn(['console/src/main.tsx'], 'browser'),
  };
}

/** The text of docs/third-party.md. */
export function drawThirdParty(bundled: Bundled): string {
  const table = (packages: readonly Package[]) => [
    '| package | version | licence |',
    '| --- | --- | --- |',
    ...packages.map(({ name, version, license }) => `| ${name} | ${version} | ${license} |`),
  ];
  return [
    '# What is in the bundles of others',
    '',
    'Made by `npm run sbom`, like [sbom.cdx.json](sbom.cdx.json), which lists every package that is installed (CycloneDX).',
    'Each of these licences lets whoever runs the service use it as they like. Who passes bundles on passes on the notices',
    'of these packages with them.',
    '',
    '## In the Lambda functions',
    '',
    ...table(bundled.functions),
    '',
    '## In the pages of the console',
    '',
    ...table(bundled.console),
    '',
  ].join('\n');
}

/** npm's bill of materials, without the fields that differ between runs. */
export async function makeSbom(): Promise<string> {
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'];
  const { stdout } = await promisify(execFile)('npm', args, { cwd: ROOT, maxBuffer: 16 * 1024 * 1024 });
  const {
    serialNumber: _,
    metadata,
    ...sbom
  } = JSON.parse(stdout) as {
    serialNumber: string;
    metadata: { timestamp: string; component: { name: string } };
  };
  const { timestamp: __, component, ...about } = metadata;
  const whole = { ...sbom, metadata: { ...about, component: { ...component, name: 'paku-ota' } } };
  // One line per package, so that a change of a package is a change of its line.
  return `${JSON.stringify(whole).replaceAll(/(?<=[[,])(?=\{"(?:bom-ref|ref)":)/g, '\n')}\n`;
}
