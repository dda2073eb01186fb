import type { Sql } from '../db/index.ts';
import { ORCHESTRATOR, stopWord } from '../policy/index.ts';
import { IS_RUNNING } from './rollout-conditions.ts';

/** A change of a rollout: what happened, why, and by whom ({@link ORCHESTRATOR}, or the identity of an operator). */
export interface RolloutChange {
  readonly rolloutId: number;
  readonly reason: string;
  readonly by: string;
}

/** What is noted with each change: the numbers at that moment. */
const NUMBERS = `(SELECT jsonb_build_object('stage', max(stage), 'claimed', sum(assigned), 'succeeded', sum(succeeded),
         'failed', sum(failed), 'canceled', sum(canceled), 'silent', (
           SELECT count(*) FROM device_update_status AS u WHERE u.rollout_id = changed.id AND u.completed_at IS NULL
             AND u.unreachable_since IS NOT NULL AND u.started_at IS NOT NULL))
         FROM rollout_stages AS s WHERE s.rollout_id = changed.id)`;

const EVENT = `INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
     SELECT id, :event, :now::timestamptz,
       jsonb_build_object('reason', :reason::text, 'by', :by::text, 'numbers', ${NUMBERS}),
       md5(id || ' ' || :event || ' ' || :now::timestamptz)
     FROM changed
     ON CONFLICT DO NOTHING`;

/**
 * Sets what the gates read to what has yet to end, and begins a new generation; a slow start goes on with a window of
 * its last size.
 */
const BEGIN_ANEW = `stages AS (
       UPDATE rollout_stages AS s SET succeeded = 0, failed = 0, failure_points = 0, canceled = 0, gate_held_since = NULL,
         assigned = (SELECT count(*) FROM device_update_status AS u
           WHERE u.rollout_id = s.rollout_id AND u.stage = s.stage AND NOT u.is_counted)
       WHERE s.rollout_id IN (SELECT id FROM changed)
     ), anew AS (
       UPDATE rollout_runtime AS p SET is_stopped = false, generation = p.generation + 1,
         start_limit = CASE WHEN p.start_limit IS NOT NULL THEN p.started_count + (
           SELECT start_quota FROM rollout_stages AS s WHERE s.rollout_id = p.rollout_id AND s.stage = p.stage) END
       WHERE p.rollout_id IN (SELECT id FROM changed)
     )`;

/**
 * Stops a rollout at once: nothing more is claimed or sent until somebody resumes it. Its owed updates, and those sent
 * but not fetched, are canceled by {@link cancelStopped}. @returns false where it was not running
 */
export async function stopRollout(sql: Sql, { rolloutId, reason, by }: RolloutChange, now: Date): Promise<boolean> {
  const rows = await sql.query(
    `WITH changed AS (
       UPDATE rollout_configurations SET
         paused_at = :now::timestamptz, paused_reason = :reason, paused_by = :by, updated_at = :now::timestamptz
       WHERE id = :rollout AND paused_at IS NULL AND completed_at IS NULL AND aborted_at IS NULL
       RETURNING id
     ), stopped AS (
       INSERT INTO rollout_runtime (rollout_id, is_stopped) SELECT id, true FROM changed
       ON CONFLICT (rollout_id) DO UPDATE SET is_stopped = true
     )
     ${EVENT} RETURNING id`,
    { rollout: rolloutId, event: `rollout_${stopWord(by)}`, reason, by, now },
  );
  return rows.length > 0;
}

/** Stops a rollout for good. @returns false where it had ended already */
export async function abortRollout(sql: Sql, { rolloutId, reason, by }: RolloutChange, now: Date): Promise<boolean> {
  const rows = await sql.query(
    `WITH changed AS (
       UPDATE rollout_configurations SET is_active = false, aborted_at = :now::timestamptz,
         paused_at = coalesce(paused_at, :now::timestamptz), paused_reason = :reason, paused_by = :by,
         updated_at = :now::timestamptz
       WHERE id = :rollout AND completed_at IS NULL AND aborted_at IS NULL
       RETURNING id
     ), stopped AS (
       INSERT INTO rollout_runtime (rollout_id, is_stopped) SELECT id, true FROM changed
       ON CONFLICT (rollout_id) DO UPDATE SET is_stopped = true
     )
     ${EVENT} RETURNING id`,
    { rollout: rolloutId, event: 'rollout_aborted', reason, by, now },
  );
  return rows.length > 0;
}

/**
 * Lets a stopped rollout go on. Its gates begin anew, or it would halt again at once; what the stop canceled is claimed
 * again. A slow start goes on with the window that it had. @returns false where it was not stopped
 */
export async function resumeRollout(sql: Sql, { rolloutId, reason, by }: RolloutChange, now: Date): Promise<boolean> {
  const rows = await sql.query(
    `WITH changed AS (
       UPDATE rollout_configurations AS r SET is_active = r.is_active OR r.paused_at IS NULL,
         paused_at = NULL, paused_reason = NULL, paused_by = NULL, updated_at = :now::timestamptz
       WHERE id = :rollout AND completed_at IS NULL AND aborted_at IS NULL AND (paused_at IS NOT NULL
         OR NOT is_active AND EXISTS (SELECT FROM rollout_runtime AS p WHERE p.rollout_id = r.id))
       RETURNING id
     ), event AS (${EVENT} RETURNING id), ${BEGIN_ANEW}
     SELECT id FROM changed`,
    { rollout: rolloutId, event: 'rollout_resumed', reason, by, now },
  );
  return rows.length > 0;
}

/**
 * Tries the devices of a rollout again that failed and may still be updated, with all attempts anew; also of one that is
 * stopped or complete, which it makes active again.
 * @param versions from which a device may be updated
 * @returns how many devices will be claimed again
 */
export async function retryFailed(
  sql: Sql,
  { rolloutId, reason, by }: RolloutChange,
  versions: readonly string[],
  now: Date,
): Promise<number> {
  const [row] = await sql.query<{ devices: number }>(
    `WITH retried AS (
       UPDATE device_update_status SET is_reclaimable = true
       WHERE rollout_id = :rollout AND status IN ('failed', 'rolled_back', 'timed_out') AND NOT is_reclaimable
         AND late_success_at IS NULL AND is_counted
         AND device_id IN (SELECT d.device_id FROM devices AS d
           WHERE d.current_firmware_version IN (SELECT jsonb_array_elements_text(:versions::jsonb)))
         AND EXISTS (SELECT FROM rollout_configurations WHERE id = :rollout AND aborted_at IS NULL)
       RETURNING id
     ), changed AS (
       UPDATE rollout_configurations SET is_active = true,
         paused_at = NULL, paused_reason = NULL, paused_by = NULL, completed_at = NULL, updated_at = :now::timestamptz
       WHERE id = :rollout AND EXISTS (SELECT FROM retried)
       RETURNING id
     ), event AS (${EVENT} RETURNING id), ${BEGIN_ANEW}
     SELECT count(*)::integer AS devices FROM retried`,
    { rollout: rolloutId, event: 'rollout_retried', reason, by, versions, now },
  );
  return row?.devices ?? 0;
}

/** Notes that an operator began a stage. */
export async function noteAdvance(sql: Sql, { rolloutId, reason, by }: RolloutChange, now: Date): Promise<void> {
  await sql.query(
    `WITH changed AS (
       UPDATE rollout_configurations SET updated_at = :now::timestamptz WHERE id = :rollout RETURNING id
     )
     ${EVENT} RETURNING id`,
    { rollout: rolloutId, event: 'rollout_advanced', reason, by, now },
  );
}

/**
 * Ends a rollout that has nothing left to do: every claimed update has ended.
 * @param unchangedSince its `updated_at` as it was read: a retry since then would be lost
 * @returns false where an update is open, or somebody has decided about the rollout meanwhile
 */
export async function completeRollout(sql: Sql, rolloutId: number, unchangedSince: Date, now: Date): Promise<boolean> {
  const rows = await sql.query(
    `WITH changed AS (
       UPDATE rollout_configurations AS r SET completed_at = :now::timestamptz, updated_at = :now::timestamptz
       WHERE id = :rollout AND completed_at IS NULL AND paused_at IS NULL
         AND date_trunc('milliseconds', r.updated_at) = :unchangedSince::timestamptz
         AND NOT EXISTS (SELECT FROM device_update_status AS u WHERE u.rollout_id = r.id AND u.completed_at IS NULL)
       RETURNING id
     )
     ${EVENT} RETURNING id`,
    {
      rollout: rolloutId,
      event: 'rollout_completed',
      reason: 'every member has ended',
      by: ORCHESTRATOR,
      unchangedSince,
      now,
    },
  );
  return rows.length > 0;
}

/**
 * Follows what was done to rollouts by SQL alone: `is_active = false`, or a `paused_at`, stops one; taking it back
 * resumes it.
 */
export async function followSql(sql: Sql, now: Date): Promise<void> {
  const by = { by: 'SQL', now };
  await sql.query(
    `WITH changed AS (
       UPDATE rollout_runtime AS p SET is_stopped = true FROM rollout_configurations AS r
       WHERE r.id = p.rollout_id AND r.completed_at IS NULL AND NOT p.is_stopped AND NOT (${IS_RUNNING})
       RETURNING r.id
     )
     ${EVENT}`,
    { event: 'rollout_paused', reason: 'is_active or paused_at was set by SQL', ...by },
  );
  await sql.query(
    `WITH changed AS (
       SELECT r.id FROM rollout_configurations AS r JOIN rollout_runtime AS p ON p.rollout_id = r.id AND p.is_stopped
       WHERE r.is_active AND r.paused_at IS NULL AND r.completed_at IS NULL AND r.aborted_at IS NULL
       FOR UPDATE OF r
     ), event AS (${EVENT} RETURNING id), ${BEGIN_ANEW}
     SELECT id FROM changed`,
    { event: 'rollout_resumed', reason: 'is_active or paused_at was set by SQL', ...by },
  );
}

/** Updates canceled by one statement. */
const UPDATES_A_CALL = 5_000;

export const STOPPED_BEFORE = 'the rollout was stopped before the device fetched its image';

/** Cancels the updates that `picked` (id) locks; their devices may be claimed again. */
const CANCEL_PICKED = `UPDATE device_update_status AS u SET
         status = 'canceled', is_reclaimable = true, completed_at = :now::timestamptz,
         deadline_at = NULL, error_message = :reason
       FROM picked WHERE u.id = picked.id
       RETURNING u.id`;

/**
 * Cancels what stopped rollouts owe, and what they sent that was not fetched: those links answer 410 from now on. An
 * update that is downloading keeps its link and ends as it ends.
 * @returns how many were canceled; repeat until 0
 */
export async function cancelStopped(sql: Sql, now: Date): Promise<number> {
  const [row] = await sql.query<{ canceled: number }>(
    `WITH picked AS (
       SELECT u.id FROM rollout_runtime AS p
       JOIN rollout_configurations AS r ON r.id = p.rollout_id AND NOT (${IS_RUNNING})
       JOIN device_update_status AS u ON u.rollout_id = p.rollout_id
       WHERE u.completed_at IS NULL AND u.status IN ('pending', 'sent')
       ORDER BY u.id LIMIT ${UPDATES_A_CALL} FOR UPDATE OF u SKIP LOCKED
     ), canceled AS (${CANCEL_PICKED})
     SELECT count(*)::integer AS canceled FROM canceled`,
    { now, reason: STOPPED_BEFORE },
  );
  return row?.canceled ?? 0;
}

/** Cancels one update that was not fetched yet. */
export async function cancelUnfetched(sql: Sql, updateId: number, reason: string, now: Date): Promise<void> {
  await sql.query(
    `WITH picked AS (
       SELECT id FROM device_update_status
       WHERE id = :update AND completed_at IS NULL AND status IN ('pending', 'sent') FOR UPDATE SKIP LOCKED
     ) ${CANCEL_PICKED}`,
    { update: updateId, reason, now },
  );
}
