import type { Command } from 'commander';
import type { Page } from '../../api/client.ts';
import { whole } from './command.ts';
import type { Session } from './session.ts';

export interface PagingOptions {
  readonly limit: number;
  readonly cursor?: string;
}

/** The most that the API gives in a call. */
const PAGE = 200;

export const addPaging = (command: Command): Command =>
  command
    .option('--limit <n>', 'at most so many', whole(1, 1_000_000), 50)
    .option('--cursor <cursor>', 'go on after a list that ended there (next_cursor of its --json)');

/** As many items as are wanted, in as many calls as that takes. */
export async function readPages<T>(
  { limit, cursor }: PagingOptions,
  read: (query: { limit: number; cursor?: string }) => Promise<Page<T>>,
): Promise<Page<T>> {
  const items: T[] = [];
  let next: string | null = cursor ?? null;
  do {
    const query = { limit: Math.min(PAGE, limit - items.length), ...(next !== null && { cursor: next }) };
    const page: Page<T> = await read(query);
    items.push(...page.items);
    next = page.next_cursor;
  } while (next !== null && items.length < limit);
  return { items, next_cursor: next };
}

/** Says that a list goes on. */
export function noteMore(session: Session, { items, next_cursor }: Page<unknown>): void {
  if (next_cursor !== null) session.note(`The first ${items.length}. For more: --limit ${items.length * 10}`);
}
