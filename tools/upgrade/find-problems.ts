import { findExceeded, findLost, type QueuedMessage } from '../../test/support/losses.ts';
import type { TestSystem } from '../../test/support/system.ts';

/** Problems at the end of a story, in sentences: lost messages, exceeded limits, rejections, open updates, log lines. */
export async function findProblems({ database, log }: TestSystem, queued: readonly QueuedMessage[]): Promise<string[]> {
  const describe = (what: string, rows: readonly object[]) => rows.map((row) => `${what}: ${JSON.stringify(row)}`);
  return [
    ...describe('lost', await findLost(database, queued)),
    ...describe('over a limit', await findExceeded(database)),
    ...describe('rejected', await database.query<object>('SELECT topic, reason FROM rejected_messages')),
    ...describe(
      'an open update',
      await database.query<object>('SELECT device_id, status FROM device_update_status WHERE completed_at IS NULL'),
    ),
    ...log.map((line) => `log: ${line}`),
  ];
}
