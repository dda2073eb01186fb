import type { Command } from 'commander';
import type { Decision } from '../../../api/rollouts.ts';
import type { Session } from '../../session/index.ts';
import { addCommand, integerOption, registerAction, retryRead } from '../../session/index.ts';
import { caller, dim, historyTable, instant, printable, whyDecided, words } from '../../text/index.ts';

interface EventOptions {
  readonly follow?: boolean;
  readonly limit: number;
  readonly after?: number;
}

const POLL_INTERVAL_MS = 2_000;

export function addEvents(program: Command): void {
  const command = addCommand(program, 'events', 'decisions about rollouts, the oldest first', [
    'paku-ota events --limit 20',
    'paku-ota events --follow --json   # one JSON object a line',
  ])
    .option('-f, --follow', 'go on with what happens from now on, until Ctrl-C')
    .option('--limit <n>', 'maximum number of rows', integerOption(1, 200), 50)
    .option('--after <id>', 'those after the event with this id', integerOption(0, Number.MAX_SAFE_INTEGER));
  registerAction<EventOptions, []>(command, async (session, { follow, limit, after }) => {
    const first = await session.api.events({ limit, ...(after !== undefined && { after }) });
    if (!follow) return session.show(first, ({ items }) => historyTable(items, true));
    await followEvents(session, first.items, after ?? 0);
  });
}

async function followEvents(session: Session, first: readonly Decision[], from: number): Promise<never> {
  let items = first;
  let last = from;
  for (;;) {
    for (const event of items) console.log(session.json ? JSON.stringify(event) : eventLine(printable(event)));
    last = items.at(-1)?.event_id ?? last;
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
    const after = last;
    ({ items } = await retryRead(() => session.api.events({ after, limit: 200 }), POLL_INTERVAL_MS));
  }
}

/** One event as a line. A table would need all rows before it prints the first. */
export function eventLine(decision: Decision): string {
  const { at, event, rollout_name, decided_by } = decision;
  const by = decided_by === null ? '' : dim(`by ${caller(decided_by)}`);
  const parts = [
    dim(instant(at)),
    `"${rollout_name}"`,
    words(event.replace(/^rollout_/, '')),
    by,
    whyDecided(decision),
  ];
  return parts.filter((part) => part !== '').join('  ');
}
