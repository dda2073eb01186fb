import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { DATABASE_ROLES } from '../../core/db/index.ts';
import { synthesize } from '../../local/start/index.ts';
import { ASSEMBLY } from '../../test/support/assembly.ts';
import { openTestDatabase } from '../../test/support/database.ts';
import { GrantRecorder, isDoneByAws } from '../../test/support/grant-recorder.ts';
import { STORIES } from '../../test/support/grant-story.ts';
import { checkRoleGrants } from '../../test/support/role-grants.ts';
import { playRoleStories } from '../../test/support/role-stories.ts';
import { startTestSystem, type TestSystem } from '../../test/support/system.ts';

const USAGE = `npm run grants -- [words]
Takes each grant of the templates away in turn, and says which is the shortest story that then fails. A start a grant:
about ten minutes for all of them. Then takes each grant of the database roles paku_public and paku_ingest away, and says
which statement is refused.

  words   only grants that contain one of them: npm run grants -- DispatchRole s3:
          npm run grants -- paku_    the database roles only`;

/** A story takes a few seconds, and counts as failed after this time. */
const TIMEOUT_MS = 20_000;
const POLL_MS = 100;

/** All grants of the templates. */
async function allGrants(): Promise<string[]> {
  const grants = new GrantRecorder();
  const system = await startTestSystem(ASSEMBLY, {}, {}, grants);
  await system.close();
  return grants.all.filter((text) => !isDoneByAws(text));
}

/** @returns the first story that fails without the grant, and its error; undefined if none does */
async function firstFailure(grant: string): Promise<string | undefined> {
  const grants = new GrantRecorder(grant);
  const start = await Promise.allSettled([startTestSystem(ASSEMBLY, {}, {}, grants)]).then(([started]) => started);
  if (start.status === 'rejected') return `the start: ${firstLine(start.reason)}`;
  const system = start.value;
  try {
    for (const { name, play } of STORIES) {
      const failure = await failureOf(play(system, grants), grants);
      if (failure !== undefined) return `${name}: ${failure}`;
    }
    return undefined;
  } finally {
    await closeIgnoringErrors(system);
  }
}

/** The error of a story. A story has failed when a call was refused, because its function may retry for minutes. */
async function failureOf(story: Promise<unknown>, grants: GrantRecorder): Promise<string | undefined> {
  const outcome = story.then(
    () => 'ended',
    (error: unknown) => firstLine(error),
  );
  for (let waited = 0; waited < TIMEOUT_MS; waited += POLL_MS) {
    const end = await Promise.race([outcome, delay(POLL_MS, undefined)]);
    if (grants.refused.length > 0) return `refused ${grants.refused[0]}`;
    if (end !== undefined) return end === 'ended' ? undefined : end;
  }
  return `not ended after ${TIMEOUT_MS / 1000} s`;
}

/** Closes a system; refused calls were already recorded. */
const closeIgnoringErrors = (system: TestSystem) => system.close().catch(() => {});

const firstLine = (error: unknown) => (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';

/** Each grant of the database roles whose functions have a story for each statement, and what is refused without it. */
async function checkDatabase(): Promise<{ grant: string; failure: string | undefined }[]> {
  const db = await openTestDatabase();
  try {
    const statements = await playRoleStories(db);
    const checked = [];
    for (const role of ['public', 'ingest'] as const) {
      for (const { grant, refused } of await checkRoleGrants(db, role, statements[role])) {
        const failure =
          refused === null ? undefined : `refused ${refused.trim().replaceAll(/\s+/g, ' ').slice(0, 100)}`;
        checked.push({ grant: `${DATABASE_ROLES[role]} ${grant}`, failure });
      }
    }
    return checked;
  } finally {
    await db.close();
  }
}

function print(grant: string, failure: string | undefined): void {
  console.log(`${grant}\n    ${failure ?? 'NOTHING FAILS WITHOUT IT'}`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: { help: { type: 'boolean' } }, allowPositionals: true });
  if (values.help) return console.log(USAGE);
  await synthesize(ASSEMBLY);
  const wanted = (text: string) => positionals.length === 0 || positionals.some((word) => text.includes(word));
  const grants = (await allGrants()).filter(wanted);
  let needless = 0;
  for (const grant of grants) {
    const failure = await firstFailure(grant);
    if (failure === undefined) needless++;
    print(grant, failure);
  }
  const inDatabase = (await checkDatabase()).filter(({ grant }) => wanted(grant));
  for (const { grant, failure } of inDatabase) print(grant, failure);
  needless += inDatabase.filter(({ failure }) => failure === undefined).length;
  console.log(`${grants.length + inDatabase.length} grants; ${needless} that no story needs`);
  process.exitCode = needless === 0 ? 0 : 1;
}

await main();
// Clients of a story that timed out may still wait for an answer.
process.exit();
