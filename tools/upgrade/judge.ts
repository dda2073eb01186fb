import { findExceeded, findLost, type TakenMessage } from '../../test/support/losses.ts';
import type { TestSystem } from '../../test/support/system.ts';

/** What is wrong with how a story ended, in sentences; nothing else may go wrong in it either. */
export async function findWrong({ database, log }: TestSystem, taken: readonly TakenMessage[]): Promise<string[]> {
  const say = (what: string, rows: readonly object[]) => rows.map((row) => `${what}: ${JSON.stringify(row)}`);
  return [
    ...say('lost', await findLost(database, taken)),
    ...say('over a limit', await findExceeded(database)),
    ...say('rejected', await database.query<object>('SELECT topic, reason FROM rejected_messages')),
    ...say(
      'an open update',
      await database.query<object>('SELECT device_id, status FROM device_update_status WHERE completed_at IS NULL'),
    ),
    ...log.map((line) => `said: ${line}`),
  ];
}
