import type { Sql } from '../db/index.ts';

/** Ended updates that one statement reads; the next call reads the rest. */
const UPDATES_PER_CALL = 5_000;

/**
 * Takes back the slots of updates that have ended, once each: `is_counted` marks those that have given theirs back. Only
 * ended updates are locked, and no send waits for one.
 */
export async function releaseSlots(sql: Sql): Promise<void> {
  await sql.query(
    `WITH picked AS (
       SELECT id, holds_slot FROM device_update_status
       WHERE completed_at IS NOT NULL AND NOT is_counted AND rollout_id IS NOT NULL
       ORDER BY id LIMIT ${UPDATES_PER_CALL} FOR UPDATE SKIP LOCKED
     ), ended AS (
       UPDATE device_update_status AS u SET is_counted = true, holds_slot = false
       FROM picked WHERE u.id = picked.id
       RETURNING u.rollout_id, u.counts_as_started, picked.holds_slot
     ), freed AS (
       SELECT rollout_id, count(*) FILTER (WHERE holds_slot) AS slots, count(*) FILTER (WHERE counts_as_started) AS starts
       FROM ended GROUP BY rollout_id
     )
     UPDATE rollout_runtime AS p SET
       in_flight = greatest(p.in_flight - f.slots::integer, 0), finished_count = p.finished_count + f.starts::integer
     FROM freed AS f WHERE p.rollout_id = f.rollout_id`,
  );
}

/**
 * Counts the slots and the started updates of every active rollout again, and corrects what differs: a deleted device or
 * a repair by SQL may have left a wrong number behind. @returns how many rollouts were corrected
 */
export async function recountSlots(sql: Sql): Promise<number> {
  const rows = await sql.query(
    `WITH locked AS (
       SELECT p.rollout_id FROM rollout_runtime AS p JOIN rollout_configurations AS r ON r.id = p.rollout_id
       WHERE r.completed_at IS NULL AND r.aborted_at IS NULL ORDER BY p.rollout_id FOR UPDATE OF p
     ), counted AS (
       SELECT locked.rollout_id, c.* FROM locked CROSS JOIN LATERAL (
         SELECT count(*) FILTER (WHERE u.holds_slot)::integer AS in_flight,
           count(*) FILTER (WHERE u.counts_as_started)::integer AS started,
           count(*) FILTER (WHERE u.counts_as_started AND u.is_counted)::integer AS finished
         FROM device_update_status AS u WHERE u.rollout_id = locked.rollout_id) AS c
     )
     UPDATE rollout_runtime AS p SET
       in_flight = c.in_flight, started_count = c.started, finished_count = c.finished
     FROM counted AS c
     WHERE p.rollout_id = c.rollout_id
       AND (p.in_flight, p.started_count, p.finished_count) IS DISTINCT FROM (c.in_flight, c.started, c.finished)
     RETURNING p.rollout_id`,
  );
  return rows.length;
}
