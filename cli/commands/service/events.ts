import type { Command } from 'commander';
import type { Decision } from '../../../api/rollouts.ts';
import { acts, addCommand, whole } from '../../session/command.ts';
import { patiently } from '../../session/retry.ts';
import type { Session } from '../../session/session.ts';
import { printable } from '../../text/printable.ts';
import { historyTable, whyDecided } from '../../text/rollout-text.ts';
import { dim } from '../../text/style.ts';
import { caller, instant, words } from '../../text/units.ts';

interface EventOptions {
  readonly follow?: boolean;
  readonly limit: number;
  readonly after?: number;
}

const LOOK_EVERY_MS = 2_000;

export function addEvents(program: Command): void {
  const command = addCommand(program, 'events', 'decisions about rollouts, the oldest first', [
    'paku-ota events --limit 20',
    'paku-ota events --follow --json   # one JSON object a line',
  ])
    .option('-f, --follow', 'go on with what happens from now on, until Ctrl-C')
    .option('--limit <n>', 'at most so many', whole(1, 200), 50)
    .option('--after <id>', 'those after the event with this id', whole(0, Number.MAX_SAFE_INTEGER));
  acts<EventOptions, []>(command, async (session, { follow, limit, after }) => {
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
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    const after = last;
    ({ items } = await patiently(() => session.api.events({ after, limit: 200 }), LOOK_EVERY_MS));
  }
}

/** Of its own, not a row of a table: what comes later is not known. */
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
