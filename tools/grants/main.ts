import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { synthesize } from '../../local/start/index.ts';
import { ASSEMBLY } from '../../test/support/assembly.ts';
import { GrantBook, isDoneByAws } from '../../test/support/grant-book.ts';
import { STORIES } from '../../test/support/grant-story.ts';
import { startTestSystem, type TestSystem } from '../../test/support/system.ts';

const USAGE = `npm run grants -- [words]
Takes each grant of the templates away in turn, and says which is the shortest story that then fails. A start a grant:
about ten minutes for all of them.

  words   only grants that contain one of them: npm run grants -- DispatchRole s3:`;

/** How long a story may take until it counts as failed; they take a few seconds each. */
const PATIENCE_MS = 20_000;
const POLL_MS = 100;

/** Every grant, as a start enters them. */
async function allGrants(): Promise<string[]> {
  const book = new GrantBook();
  const system = await startTestSystem(ASSEMBLY, {}, {}, book);
  await system.close();
  return book.all.filter((text) => !isDoneByAws(text));
}

/** @returns which story fails without the grant, and how; undefined where none does */
async function firstFailure(grant: string): Promise<string | undefined> {
  const book = new GrantBook(grant);
  const start = await Promise.allSettled([startTestSystem(ASSEMBLY, {}, {}, book)]).then(([started]) => started);
  if (start.status === 'rejected') return `the start: ${firstLine(start.reason)}`;
  const system = start.value;
  try {
    for (const { name, play } of STORIES) {
      const failure = await failureOf(play(system, book), book);
      if (failure !== undefined) return `${name}: ${failure}`;
    }
    return undefined;
  } finally {
    await closeAnyway(system);
  }
}

/** A story has failed as soon as a call of it was refused: what a function does then may take it minutes. */
async function failureOf(story: Promise<unknown>, book: GrantBook): Promise<string | undefined> {
  const outcome = story.then(
    () => 'ended',
    (error: unknown) => firstLine(error),
  );
  for (let waited = 0; waited < PATIENCE_MS; waited += POLL_MS) {
    const end = await Promise.race([outcome, delay(POLL_MS, undefined)]);
    if (book.refused.length > 0) return `refused ${book.refused[0]}`;
    if (end !== undefined) return end === 'ended' ? undefined : end;
  }
  return `not ended after ${PATIENCE_MS / 1000} s`;
}

/** What was refused is known by now. */
const closeAnyway = (system: TestSystem) => system.close().catch(() => {});

const firstLine = (error: unknown) => (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';

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
    console.log(`${grant}\n    ${failure ?? 'NOTHING FAILS WITHOUT IT'}`);
  }
  console.log(`${grants.length} grants; ${needless} that no story needs`);
  process.exitCode = needless === 0 ? 0 : 1;
}

await main();
// Clients of a story that was given up may still wait for an answer.
process.exit();
