import * as z from 'zod';
import { type Sql, select } from '../db/index.ts';
import { FAILED_LIST, ORCHESTRATOR, type RolloutEventName, stopWord } from '../policy/index.ts';
import type { RolloutId, UpdateId } from '../util/index.ts';
import {
  ANYONE,
  CONTENT,
  listUnapproved,
  PERMITTED,
  type Permission,
  RECORD_APPROVAL,
  SET_APPROVAL,
} from './approvals.ts';
import { IS_RUNNING, MAY_RUN } from './rollout-conditions.ts';

/** The column holds no longer reason; one of the database may be long. */
const MAX_REASON = 2_000;

/** A change of a rollout: what happened, why, and who decided ({@link ORCHESTRATOR} or an operator). */
export interface RolloutChange {
  readonly rolloutId: RolloutId;
  readonly reason: string;
  readonly by: string;
}

/** The numbers of the rollout at the moment of a change, which its event carries. */
const ROLLOUT_TOTALS = `(SELECT jsonb_build_object('stage', (SELECT p.stage FROM rollout_runtime AS p WHERE p.rollout_id = changed.id),
         'assigned', coalesce(sum(c.updates), 0),
         'succeeded', coalesce(sum(c.updates) FILTER (WHERE c.state = 'success'), 0),
         'failed', coalesce(sum(c.updates) FILTER (
           WHERE (c.state IN ${FAILED_LIST} OR c.state IN ('late_success', 'late_rollback'))), 0),
         'canceled', coalesce(sum(c.updates) FILTER (WHERE c.state = 'canceled'), 0), 'silent', (
           SELECT count(*) FROM device_update_status AS u WHERE u.rollout_id = changed.id AND u.completed_at IS NULL
             AND u.unreachable_since IS NOT NULL AND u.started_at IS NOT NULL))
         FROM update_counts AS c WHERE c.rollout_id = changed.id AND NOT c.is_reclaimable)`;

const INSERT_ROLLOUT_EVENT = `INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
     SELECT id, :event, :now::timestamptz,
       jsonb_build_object('reason', :reason::text, 'by', :by::text, 'numbers', ${ROLLOUT_TOTALS}),
       md5(id || ' ' || :event || ' ' || :now::timestamptz)
     FROM changed
     ON CONFLICT DO NOTHING`;

/**
 * Begins a new generation: gates read only outcomes of updates that were sent in it or are under way now. A stage of the
 * plan is repeated with as many new devices; a slow start goes on with the wave that it had.
 */
const RESET_GATES = `stages AS (
       UPDATE rollout_stages AS s SET gate_held_since = NULL,
         must_repeat = s.target_count IS NOT NULL AND s.hash_cutoff < r.target_hash_cutoff AND NOT s.is_exhausted
       FROM rollout_runtime AS p JOIN rollout_configurations AS r ON r.id = p.rollout_id
       WHERE s.rollout_id IN (SELECT id FROM changed) AND p.rollout_id = s.rollout_id AND s.stage = p.stage
     ), restarted AS (
       UPDATE rollout_runtime AS p SET is_stopped = false, generation = p.generation + 1,
         start_limit = CASE WHEN p.start_limit IS NOT NULL THEN p.finished_count + (
           SELECT start_quota FROM rollout_stages AS s WHERE s.rollout_id = p.rollout_id AND s.stage = p.stage) END
       WHERE p.rollout_id IN (SELECT id FROM changed)
       RETURNING p.rollout_id, p.generation
     ), carried AS (
       UPDATE device_update_status AS u SET generation = restarted.generation FROM restarted
       WHERE u.rollout_id = restarted.rollout_id AND u.completed_at IS NULL AND u.counts_as_started
     ), returned AS (
       -- Devices that a network, their own refusal or their absence kept from the release may be assigned again.
       UPDATE device_update_status AS u SET is_reclaimable = true FROM restarted
       WHERE u.rollout_id = restarted.rollout_id AND u.status IN ('failed', 'timed_out')
         AND u.cause IN ('delivery', 'declined', 'not_reached') AND u.late_success_at IS NULL AND NOT u.is_reclaimable
     )`;

/**
 * Stops a rollout: nothing is assigned or sent until it is resumed. {@link cancelStopped} cancels its pending updates
 * and those sent but not fetched. Its approval ends: a resumption forgets failures, and sends to new devices.
 * @returns false if the rollout was not running
 */
export async function stopRollout(sql: Sql, { rolloutId, reason, by }: RolloutChange, now: Date): Promise<boolean> {
  const rows = await sql.query(
    `WITH changed AS (
       UPDATE rollout_configurations SET
         paused_at = :now::timestamptz, paused_reason = :reason, paused_by = :by, updated_at = :now::timestamptz,
         approved_content = NULL
       WHERE id = :rollout AND paused_at IS NULL AND completed_at IS NULL AND aborted_at IS NULL
       RETURNING id
     ), stopped AS (
       INSERT INTO rollout_runtime (rollout_id, is_stopped) SELECT id, true FROM changed
       ON CONFLICT (rollout_id) DO UPDATE SET is_stopped = true
     )
     ${INSERT_ROLLOUT_EVENT} RETURNING id`,
    {
      rollout: rolloutId,
      event: `rollout_${stopWord(by)}` satisfies RolloutEventName,
      reason: reason.slice(0, MAX_REASON),
      by,
      now,
    },
  );
  return rows.length > 0;
}

/**
 * Stops a rollout for good.
 * @returns false if the rollout had already ended
 */
export async function abortRollout(sql: Sql, { rolloutId, reason, by }: RolloutChange, now: Date): Promise<boolean> {
  const rows = await sql.query(
    `WITH changed AS (
       UPDATE rollout_configurations SET is_active = false, aborted_at = :now::timestamptz,
         paused_at = coalesce(paused_at, :now::timestamptz), paused_reason = :reason, paused_by = :by,
         approved_content = NULL, updated_at = :now::timestamptz
       WHERE id = :rollout AND completed_at IS NULL AND aborted_at IS NULL
       RETURNING id
     ), stopped AS (
       INSERT INTO rollout_runtime (rollout_id, is_stopped) SELECT id, true FROM changed
       ON CONFLICT (rollout_id) DO UPDATE SET is_stopped = true
     )
     ${INSERT_ROLLOUT_EVENT} RETURNING id`,
    { rollout: rolloutId, event: 'rollout_aborted' satisfies RolloutEventName, reason, by, now },
  );
  return rows.length > 0;
}

/**
 * Resumes a stopped rollout. Its gates are reset, because it would halt again otherwise. Updates that the stop canceled
 * are assigned again. A slow start continues with a wave of its last size.
 * @returns false if the rollout was not stopped, or may not be resumed
 */
export async function resumeRollout(
  sql: Sql,
  { rolloutId, reason, by }: RolloutChange,
  now: Date,
  permission: Permission = ANYONE,
): Promise<boolean> {
  const rows = await sql.query(
    `WITH ${PERMITTED}, changed AS (
       UPDATE rollout_configurations AS r SET is_active = r.is_active OR r.paused_at IS NULL,
         paused_at = NULL, paused_reason = NULL, paused_by = NULL, updated_at = :now::timestamptz, ${SET_APPROVAL}
       FROM permitted
       WHERE r.id = permitted.id AND completed_at IS NULL AND aborted_at IS NULL AND (paused_at IS NOT NULL
         OR NOT is_active AND EXISTS (SELECT FROM rollout_runtime AS p WHERE p.rollout_id = r.id))
       RETURNING r.id
     ), approval AS (${RECORD_APPROVAL}), event AS (${INSERT_ROLLOUT_EVENT} RETURNING id), ${RESET_GATES}
     SELECT id FROM changed`,
    { rollout: rolloutId, event: 'rollout_resumed' satisfies RolloutEventName, reason, by, now, request: permission },
  );
  return rows.length > 0;
}

/** True for a failed update whose device may be assigned again. */
const MAY_BE_RETRIED = `rollout_id = :rollout AND status IN ${FAILED_LIST} AND NOT is_reclaimable
         AND late_success_at IS NULL AND is_counted
         AND device_id IN (SELECT d.device_id FROM devices AS d
           WHERE d.current_firmware_version IN (SELECT jsonb_array_elements_text(:versions::jsonb)))`;

/** How many devices {@link retryFailed} would assign again. */
export async function countRetryDevices(sql: Sql, rolloutId: RolloutId, versions: readonly string[]): Promise<number> {
  const [row] = await select(
    sql,
    z.strictObject({ devices: z.int() }),
    `SELECT count(*)::integer AS devices FROM device_update_status WHERE ${MAY_BE_RETRIED}`,
    { rollout: rolloutId, versions },
  );
  return row?.devices ?? 0;
}

/**
 * Retries the failed devices of a rollout that may still be updated, with a fresh set of attempts. A stopped or
 * completed rollout becomes active again.
 * @param versions from which a device may be updated
 * @returns how many devices will be assigned again
 */
export async function retryFailed(
  sql: Sql,
  { rolloutId, reason, by }: RolloutChange,
  versions: readonly string[],
  now: Date,
  permission: Permission = ANYONE,
): Promise<number> {
  const [row] = await select(
    sql,
    z.strictObject({ devices: z.int() }),
    `WITH ${PERMITTED}, retried AS (
       UPDATE device_update_status SET is_reclaimable = true
       WHERE ${MAY_BE_RETRIED}
         AND EXISTS (SELECT FROM rollout_configurations WHERE id = :rollout AND aborted_at IS NULL)
         AND EXISTS (SELECT FROM permitted)
       RETURNING id
     ), changed AS (
       UPDATE rollout_configurations AS r SET is_active = true,
         paused_at = NULL, paused_reason = NULL, paused_by = NULL, completed_at = NULL, updated_at = :now::timestamptz,
         approved_content = ${CONTENT}
       FROM permitted
       WHERE r.id = permitted.id AND EXISTS (SELECT FROM retried)
       RETURNING r.id
     ), approval AS (${RECORD_APPROVAL}), event AS (${INSERT_ROLLOUT_EVENT} RETURNING id), ${RESET_GATES}
     SELECT count(*)::integer AS devices FROM retried`,
    {
      rollout: rolloutId,
      event: 'rollout_retried' satisfies RolloutEventName,
      reason,
      by,
      versions,
      now,
      request: permission,
    },
  );
  return row?.devices ?? 0;
}

/** Records that an operator started a stage. */
export async function recordAdvance(sql: Sql, { rolloutId, reason, by }: RolloutChange, now: Date): Promise<void> {
  await sql.query(
    `WITH changed AS (
       UPDATE rollout_configurations SET updated_at = :now::timestamptz WHERE id = :rollout RETURNING id
     )
     ${INSERT_ROLLOUT_EVENT} RETURNING id`,
    { rollout: rolloutId, event: 'rollout_advanced' satisfies RolloutEventName, reason, by, now },
  );
}

/**
 * Completes a rollout whose updates have all ended.
 * @param unchangedSince its `updated_at` as it was loaded: a later retry must not be lost
 * @returns false if an update is open or the rollout was changed meanwhile
 */
export async function completeRollout(
  sql: Sql,
  rolloutId: RolloutId,
  unchangedSince: Date,
  now: Date,
): Promise<boolean> {
  const rows = await sql.query(
    `WITH changed AS (
       UPDATE rollout_configurations AS r SET completed_at = :now::timestamptz, updated_at = :now::timestamptz,
         approved_content = NULL
       WHERE id = :rollout AND completed_at IS NULL AND paused_at IS NULL
         AND date_trunc('milliseconds', r.updated_at) = :unchangedSince::timestamptz
         AND NOT EXISTS (SELECT FROM device_update_status AS u WHERE u.rollout_id = r.id AND u.completed_at IS NULL)
       RETURNING id
     )
     ${INSERT_ROLLOUT_EVENT} RETURNING id`,
    {
      rollout: rolloutId,
      event: 'rollout_completed' satisfies RolloutEventName,
      reason: 'all devices finished',
      by: ORCHESTRATOR,
      unchangedSince,
      now,
    },
  );
  return rows.length > 0;
}

/**
 * Applies changes that were made by SQL alone: `is_active = false` or a `paused_at` stops a rollout, `aborted_at` aborts
 * it; undoing the change resumes it. A `completed_at` needs no event of its own: the rollout runs no more.
 */
export async function adoptSqlChanges(sql: Sql, now: Date): Promise<void> {
  const by = { by: 'SQL', now };
  await sql.query(
    `WITH changed AS (
       UPDATE rollout_runtime AS p SET is_stopped = true FROM rollout_configurations AS r
       WHERE r.id = p.rollout_id AND r.aborted_at IS NOT NULL AND NOT p.is_stopped
       RETURNING r.id
     ), unapproved AS (
       UPDATE rollout_configurations SET approved_content = NULL WHERE id IN (SELECT id FROM changed)
     )
     ${INSERT_ROLLOUT_EVENT}`,
    { event: 'rollout_aborted' satisfies RolloutEventName, reason: 'aborted_at was set by SQL', ...by },
  );
  await sql.query(
    `WITH changed AS (
       UPDATE rollout_runtime AS p SET is_stopped = true FROM rollout_configurations AS r
       WHERE r.id = p.rollout_id AND r.completed_at IS NULL AND NOT p.is_stopped AND NOT (${IS_RUNNING})
       RETURNING r.id
     ), unapproved AS (
       UPDATE rollout_configurations SET approved_content = NULL WHERE id IN (SELECT id FROM changed)
     )
     ${INSERT_ROLLOUT_EVENT}`,
    { event: 'rollout_paused' satisfies RolloutEventName, reason: 'is_active or paused_at was set by SQL', ...by },
  );
  await sql.query(
    `WITH changed AS (
       SELECT r.id FROM rollout_configurations AS r JOIN rollout_runtime AS p ON p.rollout_id = r.id AND p.is_stopped
       WHERE ${MAY_RUN}
       FOR UPDATE OF r
     ), event AS (${INSERT_ROLLOUT_EVENT} RETURNING id), ${RESET_GATES}
     SELECT id FROM changed`,
    { event: 'rollout_resumed' satisfies RolloutEventName, reason: 'is_active or paused_at was set by SQL', ...by },
  );
}

/** Why a rollout halts whose content is not the approved one. */
export const NOT_APPROVED =
  'its present content has no approval, because it was started, resumed or changed by SQL; resume it, which a second person must approve';

/**
 * Halts the rollouts that SQL started, resumed or changed, and whose present content is not approved. Runs before
 * {@link adoptSqlChanges}, so that a resumption by SQL never takes effect.
 */
export async function haltUnapproved(sql: Sql, now: Date): Promise<void> {
  for (let page = await listUnapproved(sql, 0); page.length > 0; page = await listUnapproved(sql, page.at(-1) ?? 0)) {
    for (const rolloutId of page) await stopRollout(sql, { rolloutId, reason: NOT_APPROVED, by: ORCHESTRATOR }, now);
  }
}

/** A rollout is in the newest stage that it has entered. Another number in its row would stop it without a word. */
export async function repairStages(sql: Sql): Promise<void> {
  await sql.query(
    `UPDATE rollout_runtime AS p SET stage = entered.stage FROM rollout_configurations AS r
     CROSS JOIN LATERAL (SELECT coalesce(max(stage), 0) AS stage FROM rollout_stages WHERE rollout_id = r.id) AS entered
     WHERE r.id = p.rollout_id AND ${MAY_RUN} AND p.stage <> entered.stage`,
  );
}

/** Maximum updates that one statement cancels. */
const UPDATES_PER_CALL = 5_000;

export const STOPPED_BEFORE_FETCH = 'the rollout was stopped before the device fetched its image';

/** Cancels the updates that `picked` (id) has locked; their devices may be assigned again. */
const CANCEL_PICKED = `UPDATE device_update_status AS u SET
         status = 'canceled', is_reclaimable = true, completed_at = :now::timestamptz,
         deadline_at = NULL, error_message = :reason
       FROM picked WHERE u.id = picked.id
       RETURNING u.id`;

/**
 * Cancels the pending updates of stopped rollouts and those that were sent but not fetched, whose links answer 410 from
 * then on. An update that is downloading keeps its link and continues.
 * @returns how many were canceled; repeat until 0
 */
export async function cancelStopped(sql: Sql, now: Date): Promise<number> {
  const [row] = await select(
    sql,
    z.strictObject({ canceled: z.int() }),
    `WITH picked AS (
       SELECT u.id FROM rollout_runtime AS p
       JOIN rollout_configurations AS r ON r.id = p.rollout_id AND NOT (${IS_RUNNING})
       JOIN device_update_status AS u ON u.rollout_id = p.rollout_id
       WHERE u.completed_at IS NULL AND u.status IN ('pending', 'sent')
       ORDER BY u.id LIMIT ${UPDATES_PER_CALL} FOR UPDATE OF u SKIP LOCKED
     ), canceled AS (${CANCEL_PICKED})
     SELECT count(*)::integer AS canceled FROM canceled`,
    { now, reason: STOPPED_BEFORE_FETCH },
  );
  return row?.canceled ?? 0;
}

/** Cancels one update that was not fetched yet. */
export async function cancelUnfetched(sql: Sql, updateId: UpdateId, reason: string, now: Date): Promise<void> {
  await sql.query(
    `WITH picked AS (
       SELECT id FROM device_update_status
       WHERE id = :update AND completed_at IS NULL AND status IN ('pending', 'sent') FOR UPDATE SKIP LOCKED
     ) ${CANCEL_PICKED}`,
    { update: updateId, reason, now },
  );
}

/**
 * Starts rollouts over at their first stage whose version was changed while they ran: outcomes of one release say
 * nothing about another. @returns how many
 */
export async function restartChangedVersions(sql: Sql, now: Date): Promise<number> {
  const rows = await sql.query(
    `WITH changed AS (
       UPDATE rollout_runtime AS p SET generation = p.generation + 1, stage = 0, start_limit = 0,
         target_version = r.firmware_version, scan_fingerprint = NULL
       FROM rollout_configurations AS r
       WHERE r.id = p.rollout_id AND r.completed_at IS NULL AND r.aborted_at IS NULL
         AND p.target_version IS DISTINCT FROM r.firmware_version
       RETURNING r.id
     ), cleared AS (
       DELETE FROM rollout_stages WHERE rollout_id IN (SELECT id FROM changed)
     ), unnamed AS (
       DELETE FROM rollout_members WHERE rollout_id IN (SELECT id FROM changed)
     )
     ${INSERT_ROLLOUT_EVENT} RETURNING id`,
    { event: 'rollout_restarted' satisfies RolloutEventName, reason: 'its version was changed', by: 'SQL', now },
  );
  return rows.length;
}
