import type { Sql } from '../db/index.ts';
import { isSameVersion } from '../policy/index.ts';
import { GATES_SINCE } from '../rollouts/index.ts';

/** Maximum ended updates that one statement counts; the next call continues. */
const UPDATES_PER_CALL = 5_000;

/** Failure points of an update: a failed verification counts twice, a device that was never reached counts nothing. */
const FAILURE_POINTS = `CASE
  WHEN status NOT IN ('failed', 'rolled_back', 'timed_out') OR status = 'timed_out' AND attempt = 0 THEN 0
  WHEN result_code = 3 THEN 2 ELSE 1 END`;

/**
 * Adds each ended update to the counts of its stage and releases its slot, exactly once: only the statement that sets
 * `is_counted` counts an update. It locks only ended updates, so no send waits for it.
 */
export async function countOutcomes(sql: Sql): Promise<void> {
  await sql.query(
    `WITH picked AS (
       SELECT id, holds_slot FROM device_update_status
       WHERE completed_at IS NOT NULL AND NOT is_counted AND rollout_id IS NOT NULL
       ORDER BY id LIMIT ${UPDATES_PER_CALL} FOR UPDATE SKIP LOCKED
     ), ended AS (
       UPDATE device_update_status AS u SET is_counted = true, holds_slot = false
       FROM picked WHERE u.id = picked.id
       RETURNING u.rollout_id, u.stage, u.status, u.attempt, u.result_code, u.counts_as_started, picked.holds_slot
     ), counted AS (
       SELECT rollout_id, stage, count(*) FILTER (WHERE status = 'success') AS succeeded,
         count(*) FILTER (WHERE points > 0) AS failed, coalesce(sum(points), 0) AS points,
         count(*) FILTER (WHERE status <> 'success' AND points = 0) AS canceled,
         count(*) FILTER (WHERE holds_slot) AS slots, count(*) FILTER (WHERE counts_as_started) AS starts
       FROM (SELECT *, ${FAILURE_POINTS} AS points FROM ended) AS weighed
       GROUP BY rollout_id, stage
     ), runtime AS (
       UPDATE rollout_runtime AS p SET
         in_flight = p.in_flight - c.slots::integer, finished_count = p.finished_count + c.starts::integer
       FROM (SELECT rollout_id, sum(slots) AS slots, sum(starts) AS starts FROM counted GROUP BY rollout_id) AS c
       WHERE p.rollout_id = c.rollout_id
     )
     UPDATE rollout_stages AS s SET
       succeeded = s.succeeded + c.succeeded, failed = s.failed + c.failed, failure_points = s.failure_points + c.points,
       canceled = s.canceled + c.canceled
     FROM counted AS c WHERE s.rollout_id = c.rollout_id AND s.stage = c.stage`,
  );
}

/**
 * Finds devices that run the version to which their last update failed to bring them, and records a late success: the
 * update no longer counts as a failure. It is not reopened. An update that is being retried cannot become a late
 * success.
 */
export async function recordLateSuccesses(sql: Sql, deviceIds: readonly string[], now: Date): Promise<void> {
  if (deviceIds.length === 0) return;
  const candidates = await sql.query<{ id: number; target: string; current: string }>(
    `SELECT u.id, u.firmware_version AS target, d.current_firmware_version AS current
     FROM device_update_status AS u JOIN devices AS d USING (device_id)
     WHERE u.device_id IN (SELECT jsonb_array_elements_text(:devices::jsonb)) AND u.rollout_id IS NOT NULL
       AND u.status IN ('failed', 'rolled_back', 'timed_out') AND u.late_success_at IS NULL AND u.is_counted
       AND NOT u.is_reclaimable AND d.version_received_at > u.completed_at
     LIMIT 500`,
    { devices: deviceIds },
  );
  const late = candidates.filter(({ target, current }) => isSameVersion(target, current)).map(({ id }) => id);
  if (late.length === 0) return;
  await sql.query(
    `WITH late AS (
       UPDATE device_update_status AS u SET late_success_at = :now::timestamptz
       WHERE id IN (SELECT jsonb_array_elements_text(:ids::jsonb)::bigint) AND late_success_at IS NULL AND is_counted
       RETURNING rollout_id, stage, CASE WHEN u.completed_at > ${GATES_SINCE} THEN ${FAILURE_POINTS} ELSE 0 END AS points
     ), counted AS (
       SELECT rollout_id, stage, count(*) AS failed, sum(points) AS points FROM late WHERE points > 0 GROUP BY rollout_id, stage
     )
     UPDATE rollout_stages AS s SET
       failed = greatest(s.failed - c.failed, 0), failure_points = greatest(s.failure_points - c.points, 0),
       canceled = s.canceled + c.failed
     FROM counted AS c WHERE s.rollout_id = c.rollout_id AND s.stage = c.stage`,
    { ids: late, now },
  );
}
