import type { Sql } from '../db/index.ts';
import { closePendingUpdates } from './dispatch-updates.ts';
import { evaluateUpdates, findOverdueUpdates, type OverdueUpdate } from './evaluate-updates.ts';
import { requeueUnseen } from './requeue-unacknowledged.ts';

/** Overdue updates per statement and statements per tick; the next tick continues. */
const UPDATES_PER_CALL = 500;
const CALLS_PER_TICK = 4;

/**
 * Ends or requeues open updates whose deadline had passed at `processedUntil`: a message that was received before a
 * deadline must have been processed before silence is evaluated.
 * @returns how many were overdue
 */
export async function expireUpdates(sql: Sql, now: Date, processedUntil = now): Promise<number> {
  let expired = 0;
  for (let calls = 0; calls < CALLS_PER_TICK; calls++) {
    const overdue = await findOverdueUpdates(sql, processedUntil, UPDATES_PER_CALL);
    await expire(sql, overdue, now, processedUntil);
    expired += overdue.length;
    if (overdue.length < UPDATES_PER_CALL) break;
  }
  return expired;
}

async function expire(sql: Sql, overdue: readonly OverdueUpdate[], now: Date, processedUntil: Date): Promise<void> {
  const pending = overdue.filter(({ status }) => status === 'pending');
  await closePendingUpdates(
    sql,
    pending.map(({ id, error_message: last }) => ({
      id,
      status: 'timed_out' as const,
      message: `could not be reached before the deadline${last === null ? '' : `; last: ${last}`}`,
    })),
    now,
  );
  const sent = overdue.filter(({ status }) => status !== 'pending').map(({ id }) => id);
  await requeueUnseen(sql, sent, now, processedUntil);
  await evaluateUpdates(sql, sent, processedUntil);
}
