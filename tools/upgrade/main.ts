import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { synthesize } from '../../local/start/index.ts';
import { ASSEMBLY } from '../../test/support/assembly.ts';
import { deployInFlight } from './deploy-in-flight.ts';
import { mixAssemblies } from './mixed-assembly.ts';
import { newestTag, oldAssembly } from './old-sources.ts';
import { findReplaced } from './replacements.ts';
import { sideBySide } from './side-by-side.ts';

const USAGE = `npm run upgrade -- [git ref]
Synthesizes another version from its own sources, and deploys this one over it on this machine: while updates are in
flight, back again, and with some functions still the old ones. And it compares their templates.

  git ref   a commit, branch or tag of this repository (the newest tag before this version)

TEST_DATABASE_URL names a PostgreSQL server to use instead of PGlite.`;

const INGESTION = ['IngestStatus', 'IngestOta', 'Dispatch', 'Download', 'RegisterRelease'];
const CONTROL = ['Orchestrate', 'OperatorApi'];

async function report(name: string, play: () => Promise<string[]>): Promise<boolean> {
  const since = Date.now();
  const wrong = await play().catch((error: Error) => [error.message]);
  const seconds = Math.round((Date.now() - since) / 1000);
  console.log(`${name}: ${wrong.length === 0 ? 'as it should be' : 'WRONG'} (${seconds} s)`);
  for (const each of wrong) console.log(`    ${each}`);
  return wrong.length === 0;
}

async function playAll(ref: string, folder: string): Promise<boolean> {
  const [old] = await Promise.all([oldAssembly(ref, folder), synthesize(ASSEMBLY)]);
  const mix = (names: readonly string[]) => {
    const mixed = join(folder, names.join('-'));
    return { mixed, differing: mixAssemblies(old, ASSEMBLY, names, mixed) };
  };
  const outcomes = [
    await report('templates', async () => findReplaced(old, ASSEMBLY)),
    await report('deployed in flight', () => deployInFlight(old, ASSEMBLY, console.log)),
    await report('rolled back in flight', () => deployInFlight(ASSEMBLY, old, console.log)),
  ];
  for (const names of [INGESTION, CONTROL]) {
    const { mixed, differing } = mix(names);
    outcomes.push(
      await report(`side by side, still old: ${differing.join(', ')}`, () => sideBySide(old, mixed, console.log)),
    );
  }
  return outcomes.every((isRight) => isRight);
}

const { values, positionals } = parseArgs({ options: { help: { type: 'boolean' } }, allowPositionals: true });
if (values.help) console.log(USAGE);
else {
  const ref = positionals[0] ?? (await newestTag());
  const folder = mkdtempSync(join(tmpdir(), 'paku-ota-upgrade-'));
  const isRight = await playAll(ref, folder).finally(() => rmSync(folder, { recursive: true, force: true }));
  process.exitCode = isRight ? 0 : 1;
}
