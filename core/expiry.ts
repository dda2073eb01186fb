import type { Sql } from './database.ts';
import { closeOwedUpdates } from './dispatching.ts';
import { findOverdueUpdates, judgeUpdates } from './judging.ts';
import { oweUnseenAgain } from './unconfirmed.ts';

/** Overdue updates that one tick closes; what is left over is done by the next. */
const UPDATES_A_TICK = 2_000;

/** Lets silence decide: every open update whose deadline has passed. @returns how many were overdue */
export async function expireUpdates(sql: Sql, now: Date): Promise<number> {
  const overdue = await findOverdueUpdates(sql, now, UPDATES_A_TICK);
  const owed = overdue.filter(({ status }) => status === 'pending');
  await closeOwedUpdates(
    sql,
    owed.map(({ id, error_message: last }) => ({
      id,
      status: 'timed_out' as const,
      message: `could not be reached before the claim ran out${last === null ? '' : `; last: ${last}`}`,
    })),
    now,
  );
  const sent = overdue.filter(({ status }) => status !== 'pending').map(({ id }) => id);
  await oweUnseenAgain(sql, sent, now);
  await judgeUpdates(sql, sent, now);
  return overdue.length;
}
