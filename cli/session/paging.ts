import type { Command } from 'commander';
import type { Page } from '../../api/client.ts';
import { integerOption } from './options.ts';
import type { Session } from './session.ts';

export interface PagingOptions {
  readonly limit: number;
  readonly cursor?: string;
}

/** The largest `limit` that the API accepts. */
const MAX_PER_CALL = 200;

export const addPaging = (command: Command): Command =>
  command
    .option('--limit <n>', 'maximum number of rows', integerOption(1, 1_000_000), 50)
    .option('--cursor <cursor>', 'continue from this cursor (next_cursor of the --json output)');

/** Reads up to `limit` items, in as many calls as needed. @returns with the cursor of what follows, null at the end */
export async function readPages<T>(
  { limit, cursor }: PagingOptions,
  read: (query: { limit: number; cursor?: string }) => Promise<Page<T>>,
): Promise<Page<T>> {
  const items: T[] = [];
  let next: string | null = cursor ?? null;
  do {
    const query = { limit: Math.min(MAX_PER_CALL, limit - items.length), ...(next !== null && { cursor: next }) };
    const page: Page<T> = await read(query);
    items.push(...page.items);
    next = page.next_cursor;
  } while (next !== null && items.length < limit);
  return { items, next_cursor: next };
}

/** Notes that a list has more items than were printed. */
export function noteMore(session: Session, { items, next_cursor }: Page<unknown>): void {
  if (next_cursor !== null) session.note(`The first ${items.length}. For more: --limit ${items.length * 10}`);
}
