import type { Sql } from './database.ts';
import { findOverdueUpdates, judgeUpdates } from './judging.ts';

/** Overdue updates that one tick closes; what is left over is done by the next. */
const UPDATES_A_TICK = 2_000;

/** Lets silence decide: every open update whose deadline has passed. @returns how many were overdue */
export async function expireUpdates(sql: Sql, now: Date): Promise<number> {
  const overdue = await findOverdueUpdates(sql, now, UPDATES_A_TICK);
  const owed = overdue.filter(({ status }) => status === 'pending').map(({ id }) => id);
  await closeUnclaimed(sql, owed, now);
  await judgeUpdates(
    sql,
    overdue.filter(({ status }) => status !== 'pending').map(({ id }) => id),
    now,
  );
  return overdue.length;
}

/** A device that never came within reach while it was owed a command. */
async function closeUnclaimed(sql: Sql, ids: readonly number[], now: Date): Promise<void> {
  if (ids.length === 0) return;
  await sql.query(
    `UPDATE device_update_status AS u SET
       status = 'timed_out', error_message = 'the device could not be reached before the claim ran out',
       closed_at = :now::timestamptz, completed_at = :now::timestamptz, deadline_at = NULL
     WHERE u.id IN (SELECT jsonb_array_elements_text(:ids::jsonb)::bigint)
       AND u.status = 'pending' AND u.closed_at IS NULL AND u.deadline_at <= :now::timestamptz`,
    { ids, now },
  );
}
