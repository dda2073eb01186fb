import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { isHeld } from '../holds/index.ts';
import type { UpdateState } from '../policy/index.ts';
import { COMMAND_FAMILIES, type CommandFamily, VERIFICATION_FAILED } from '../protocol/index.ts';
import { type Delivery, deliverySchema } from '../release-policy/index.ts';
import { HAS_PREDECESSOR_COMPLETED, IS_RUNNING, jitterWait } from '../rollouts/index.ts';
import { type DeviceId, ID, type RolloutId, type UpdateId } from '../util/index.ts';
import { inFlightByValue } from './limit-per-value.ts';

const pendingUpdate = z.strictObject({
  id: ID.update,
  device_id: ID.device,
  client_id: z.string().nullable(),
  device_model: z.string(),
  /** Model of the release. */
  release_model: z.string(),
  current_firmware_version: z.string(),
  /** The topic family on which the device last reported; null before its first report about an update. */
  command_family: z.enum(COMMAND_FAMILIES).nullable(),
  /** True if AWS IoT has not named the subscriptions of the version that the device runs. */
  is_family_unasked: z.boolean(),
  rollout_id: ID.rollout,
  firmware_version: z.string(),
  min_version: z.string().nullable(),
  /** Null: the release was not revoked. */
  revoked_reason: z.string().nullable(),
  signing_key: z.string().nullable(),
  signature_expires_at: z.date().nullable(),
  allow_downgrade: z.boolean(),
  include_unknown: z.boolean(),
  is_stepping_stone: z.boolean(),
  attempt: z.int(),
  /** What the next attempt changes; null: as the device and its model are configured. */
  next_family: z.enum(COMMAND_FAMILIES).nullable(),
  next_delivery: deliverySchema.nullable(),
  checksum_sha256: z.string(),
  object_key: z.string(),
});

/** A pending update of a held device waits until the hold has ended. */
export const NOT_HELD = `NOT ${isHeld('u.device_id')}`;

/** A pending update with the data for its command and for the decision whether to send it. */
export type PendingUpdate = RowOf<typeof pendingUpdate>;

/** True if the rollout `r` with its runtime row `p` may send now. */
export const MAY_SEND = `${IS_RUNNING} AND coalesce(p.sends_until > :now::timestamptz, true)
         AND coalesce(r.start_at <= :now::timestamptz, true) AND ${HAS_PREDECESSOR_COMPLETED}`;

/** Loads those of the given updates that may be sent now and whose rollout may send. */
export async function loadPendingUpdates(sql: Sql, ids: readonly UpdateId[], now: Date): Promise<PendingUpdate[]> {
  return select(
    sql,
    pendingUpdate,
    `SELECT u.id, u.device_id, d.client_id, d.device_model, f.device_model AS release_model, d.current_firmware_version, d.command_family,
       d.family_asked_version IS DISTINCT FROM d.current_firmware_version AS is_family_unasked, u.rollout_id,
       u.firmware_version, f.min_version, f.signing_key, f.signature_expires_at,
       CASE WHEN f.revoked_at IS NOT NULL THEN coalesce(f.revoked_reason, 'no reason given') END AS revoked_reason, r.allow_downgrade, r.include_unknown,
       u.is_stepping_stone, u.attempt, u.next_family, u.next_delivery, f.checksum_sha256, f.object_key
     FROM jsonb_array_elements_text(:ids::jsonb) AS requested(id)
     JOIN device_update_status AS u ON u.id = requested.id::bigint AND u.status = 'pending'
       AND coalesce(u.not_before, '-infinity') <= :now::timestamptz AND ${NOT_HELD}
     JOIN devices AS d USING (device_id)
     JOIN firmware_releases AS f ON f.id = u.release_id
     JOIN rollout_configurations AS r ON r.id = u.rollout_id
     JOIN rollout_runtime AS p ON p.rollout_id = u.rollout_id AND ${MAY_SEND}
     ORDER BY u.id`,
    { ids, now },
  );
}

/**
 * The usual interval of a device that has none yet: the median of its model, of at most 1,000 devices.
 * It is fixed when the command is sent, so that a verdict does not depend on the order of messages.
 */
const MODEL_INTERVAL = `(SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY report_interval_seconds) FROM (
         SELECT report_interval_seconds FROM devices
         WHERE device_model = d.device_model AND report_interval_seconds IS NOT NULL LIMIT 1000) AS sample)`;
export const DEFAULT_INTERVAL_SECONDS = 3_600;

/**
 * Restarts of a device `d` on its present version, and the time in which they were counted. A version that it has run for
 * less than an hour, such as a stepping stone, says little: the update before that has the earlier habit.
 */
const BEFORE = `SELECT counted_restarts(d.restarts, d.uptime_seconds)
           + coalesce(e.restarts_per_hour * greatest(e.observed_hours, 1), 0) AS restarts,
           d.observed_seconds / 3600.0 + coalesce(e.observed_hours, 0) AS hours
         FROM (SELECT 1) AS one
         LEFT JOIN LATERAL (
           SELECT restarts_per_hour, observed_hours FROM device_update_status
           WHERE device_id = d.device_id AND observed_hours IS NOT NULL AND d.observed_seconds < 3600
             AND status = 'success' AND completed_at IS NOT NULL
           ORDER BY id DESC LIMIT 1) AS e ON true`;

export interface PlannedSend {
  readonly id: UpdateId;
  readonly family: CommandFamily;
  readonly delivery: Delivery;
}

/**
 * True if the minute of the runtime row still counts. One of two dispatchers may have started a minute earlier and
 * waited for the database to resume: it must not reset the count to its own minute, and sends in the later one.
 */
const IS_SAME_MINUTE = `p.minute BETWEEN totals.minute AND totals.minute + interval '2 minutes'`;

/**
 * How many of the requested slots the runtime row allows: what is left in flight and in this minute and, for devices
 * that have not started, what is left of the wave. Retries go first, because their devices have started.
 */
const GRANTED_SLOTS = `greatest(0, least(
           totals.slots - totals.starts + least(totals.starts, coalesce(p.start_limit - p.started_count, totals.starts)),
           coalesce(r.max_in_flight - p.in_flight, totals.slots),
           coalesce(r.max_per_minute - CASE WHEN ${IS_SAME_MINUTE} THEN p.sent_in_minute ELSE 0 END, totals.slots)))`;

/**
 * Reserves slots and marks updates of one rollout as sent before anything is sent, so that an update is sent at most
 * once per attempt. Rows that another dispatcher holds are skipped. Only the locked runtime row decides how many may
 * go, so that concurrent dispatchers cannot exceed a limit. Counting open updates instead would read a snapshot older
 * than the lock (measured on PostgreSQL 15: a limit of 5 gave 10). The limit per value of an attribute is for all
 * rollouts, so its count has a lock of its own, and a snapshot that is newer than that lock.
 * @returns the updates to send now, with their attempt number; the others stay pending
 */
export async function reserveSends(
  sql: Sql,
  rolloutId: RolloutId,
  sends: readonly PlannedSend[],
  now: Date,
): Promise<{ id: UpdateId; attempt: number }[]> {
  return select(
    sql,
    z.strictObject({ id: ID.update, attempt: z.int() }),
    `WITH locked AS (
       SELECT u.id, u.device_id, u.counts_as_started, u.failed_before, r.family, r.delivery
       FROM device_update_status AS u
       JOIN jsonb_to_recordset(:sends::jsonb) AS r(id bigint, family text, delivery text) ON r.id = u.id
       WHERE u.rollout_id = :rollout AND u.status = 'pending' AND u.completed_at IS NULL AND ${NOT_HELD}
       ORDER BY u.id
       FOR UPDATE OF u SKIP LOCKED
     ), ${inFlightByValue(true)}, requested AS (
       SELECT id, counts_as_started, failed_before, family, delivery FROM (
         SELECT l.*, v.value, p.max - coalesce(b.in_flight, 0) AS room,
           row_number() OVER (PARTITION BY v.value ORDER BY l.counts_as_started DESC, l.failed_before, l.id) AS place
         FROM locked AS l LEFT JOIN per_value AS p ON true
         LEFT JOIN LATERAL (SELECT metadata ->> p.attribute AS value FROM devices WHERE device_id = l.device_id OFFSET 0) AS v ON true
         LEFT JOIN busy AS b ON b.value = v.value) AS placed
       WHERE value IS NULL OR place <= room
     ), totals AS (
       SELECT count(*)::integer AS slots, (count(*) FILTER (WHERE NOT counts_as_started))::integer AS starts,
         date_trunc('minute', :now::timestamptz) AS minute
       FROM requested
     ), runtime AS (
       UPDATE rollout_runtime AS p SET
         in_flight = p.in_flight + ${GRANTED_SLOTS},
         sent_in_minute = CASE WHEN ${IS_SAME_MINUTE} THEN p.sent_in_minute ELSE 0 END + ${GRANTED_SLOTS},
         started_count = p.started_count + greatest(0, ${GRANTED_SLOTS} - (totals.slots - totals.starts)),
         granted = ${GRANTED_SLOTS},
         minute = CASE WHEN ${IS_SAME_MINUTE} THEN p.minute ELSE totals.minute END
       FROM totals, rollout_configurations AS r
       WHERE p.rollout_id = :rollout AND r.id = :rollout AND ${MAY_SEND}
       RETURNING p.granted, p.generation, p.stage, p.start_limit IS NOT NULL AS is_slow_start,
         greatest(:now::timestamptz, p.minute) AS sent_at
     ), chosen AS (
       SELECT id, family, delivery FROM requested
       -- A stopped rollout has no runtime row here, and LIMIT NULL would mean no limit.
       ORDER BY counts_as_started DESC, failed_before, id LIMIT coalesce((SELECT granted FROM runtime), 0)
     ), sent AS (
       UPDATE device_update_status AS u SET
         status = 'sent', attempt = u.attempt + 1, sends = u.sends + 1, sent_at = runtime.sent_at, holds_slot = true,
         counts_as_started = true, reported_at = :now::timestamptz, evaluated_events = 0, error_message = NULL,
         result_code = NULL, unreachable_since = NULL, not_before = NULL,
         -- A slow start counts a device in the wave in which it starts.
         stage = CASE WHEN runtime.is_slow_start AND NOT u.counts_as_started THEN runtime.stage ELSE u.stage END,
         generation = runtime.generation, previous_version = d.current_firmware_version,
         report_interval_seconds = coalesce(d.report_interval_seconds, ${MODEL_INTERVAL}, ${DEFAULT_INTERVAL_SECONDS}),
         -- One restart in the first minute is not sixty per hour.
         restarts_per_hour = b.restarts / greatest(b.hours, 1), observed_hours = b.hours,
         deadline_at = :now::timestamptz + make_interval(mins => r.attempt_timeout_minutes)
       FROM chosen, runtime, rollout_configurations AS r, devices AS d
       CROSS JOIN LATERAL (${BEFORE}) AS b
       WHERE u.id = chosen.id AND r.id = u.rollout_id AND d.device_id = u.device_id
       RETURNING u.id, u.attempt, u.device_id, u.firmware_version, u.sent_at, chosen.family, chosen.delivery
     ), recorded AS (
       INSERT INTO update_attempts AS a (update_id, attempt, device_id, version, sent_at, command_family, delivery)
       SELECT id, attempt, device_id, firmware_version, sent_at, family, delivery FROM sent
       ON CONFLICT (update_id, attempt) DO UPDATE SET
         sent_at = excluded.sent_at, command_family = excluded.command_family, delivery = excluded.delivery, send_result = NULL
     )
     SELECT id, attempt FROM sent ORDER BY id`,
    { rollout: rolloutId, sends, now },
  );
}

/**
 * `absent`, `throttled` and `denied` make the update pending again without using an attempt: AWS answered, and the
 * device said nothing. `refused` ends it, because no other command would be accepted either. `published` says that the
 * broker took the command, which says nothing about the device.
 */
export const SEND_OUTCOMES = [
  'acknowledged',
  'unconfirmed',
  'published',
  'absent',
  'throttled',
  'denied',
  'refused',
] as const;

/** Nothing was delivered, so the attempt never was, and the limits have room for another device. */
const NOTHING_SENT = "('absent', 'denied')";

export interface SendOutcome {
  readonly id: UpdateId;
  readonly attempt: number;
  readonly outcome: (typeof SEND_OUTCOMES)[number];
  readonly message: string | null;
  /** For an update that is pending again: when the orchestrator may pick it, unless its device reports earlier. */
  readonly retryAt: Date | null;
}

/**
 * Releases the slot of an update whose device is out of reach, and its place in the wave, so that sleeping devices do
 * not block a rollout. A device that acknowledged an earlier command keeps its place, because it went silent. Reads
 * `requeued` (rollout_id, the earlier holds_slot, start_returned).
 */
export const RELEASE_SLOTS = `freed AS (
       SELECT rollout_id, count(*) FILTER (WHERE holds_slot) AS slots, count(*) FILTER (WHERE start_returned) AS starts
       FROM requeued GROUP BY rollout_id
     )
     UPDATE rollout_runtime AS p SET in_flight = greatest(p.in_flight - freed.slots::integer, 0),
       started_count = greatest(p.started_count - freed.starts::integer, 0)`;

/**
 * Stores the outcomes of sends. An update that has changed meanwhile, because its device has already responded, is left
 * unchanged.
 */
export async function storeSendOutcomes(sql: Sql, outcomes: readonly SendOutcome[], now: Date): Promise<void> {
  if (outcomes.length === 0) return;
  await sql.query(
    `WITH outcomes AS (
       SELECT * FROM jsonb_to_recordset(:outcomes::jsonb)
         AS o(id bigint, attempt integer, outcome text, message text, "retryAt" timestamptz)
     ), attempt_results AS (
       UPDATE update_attempts AS a SET send_result = outcomes.outcome,
         ended_at = CASE WHEN outcomes.outcome = 'refused' THEN :now::timestamptz ELSE a.ended_at END,
         status = CASE WHEN outcomes.outcome = 'refused' THEN 'failed' ELSE a.status END,
         reason = CASE WHEN outcomes.outcome = 'refused' THEN outcomes.message ELSE a.reason END
       FROM outcomes WHERE a.update_id = outcomes.id AND a.attempt = outcomes.attempt AND outcomes.outcome NOT IN ${NOTHING_SENT}
     ), requeued AS (
       UPDATE device_update_status AS u SET
         status = 'pending', attempt = u.attempt - 1, sends = u.sends - 1, holds_slot = false,
         counts_as_started = u.started_at IS NOT NULL, sent_at = NULL,
         enqueue_after = outcomes."retryAt", error_message = outcomes.message,
         unreachable_since = CASE WHEN outcomes.outcome = 'absent' THEN :now::timestamptz END,
         deadline_at = greatest(u.created_at + make_interval(days => r.give_up_days), outcomes."retryAt")
       FROM outcomes, rollout_configurations AS r, device_update_status AS before
       WHERE u.id = outcomes.id AND u.attempt = outcomes.attempt AND u.status = 'sent' AND u.acknowledged_at IS NULL
         AND r.id = u.rollout_id AND outcomes.outcome IN ('absent', 'throttled', 'denied') AND before.id = u.id
       RETURNING u.id, outcomes.attempt, outcomes.outcome, u.rollout_id, before.holds_slot,
         before.counts_as_started AND u.started_at IS NULL AS start_returned
     ), undone AS (
       -- Nothing was delivered, so no message can belong to this attempt.
       DELETE FROM update_attempts AS a USING requeued
       WHERE a.update_id = requeued.id AND a.attempt = requeued.attempt AND requeued.outcome IN ${NOTHING_SENT}
     ), refused AS (
       UPDATE device_update_status AS u SET
         status = 'failed', cause = 'not_reached', error_message = outcomes.message, completed_at = :now::timestamptz,
         deadline_at = NULL
       FROM outcomes
       WHERE u.id = outcomes.id AND u.attempt = outcomes.attempt AND u.status = 'sent' AND outcomes.outcome = 'refused'
     ), ${RELEASE_SLOTS},
       -- A 5xx does not prove that nothing was delivered, and a 429 asks for fewer sends: they make no room for others.
       sent_in_minute = CASE WHEN p.minute = date_trunc('minute', :now::timestamptz)
         THEN greatest(p.sent_in_minute - (SELECT count(*) FROM requeued
           WHERE requeued.rollout_id = p.rollout_id AND requeued.outcome IN ${NOTHING_SENT} AND requeued.holds_slot), 0)
         ELSE p.sent_in_minute END
     FROM freed WHERE p.rollout_id = freed.rollout_id`,
    { outcomes, now },
  );
}

/** A pending update that will not be sent, and why. */
export interface UpdateClosing {
  readonly id: UpdateId;
  readonly status: Extract<UpdateState, 'success' | 'failed' | 'timed_out' | 'canceled'>;
  readonly message: string;
  /** True if the rollout may assign the device again when it targets it again. */
  readonly mayReturn?: boolean;
}

/** Ends updates that are still pending, each with its reason. */
export async function closePendingUpdates(sql: Sql, closings: readonly UpdateClosing[], now: Date): Promise<void> {
  if (closings.length === 0) return;
  await sql.query(
    `UPDATE device_update_status AS u SET
       status = c.status, error_message = c.message,
       -- A device that had begun and was not heard of since has gone silent.
       cause = CASE WHEN c.status = 'timed_out' AND u.started_at IS NOT NULL THEN 'silence'
         WHEN c.status IN ('failed', 'timed_out') THEN 'not_reached' END, completed_at = :now::timestamptz,
       booted_at = CASE WHEN c.status = 'success' THEN :now::timestamptz END, deadline_at = NULL,
       unverified_at = CASE WHEN c.status = 'success' AND u.result_code = ${VERIFICATION_FAILED} THEN :now::timestamptz END,
       is_reclaimable = coalesce(c."mayReturn", false)
     FROM jsonb_to_recordset(:closings::jsonb) AS c(id bigint, status text, message text, "mayReturn" boolean)
     WHERE u.id = c.id AND u.status = 'pending' AND u.completed_at IS NULL`,
    { closings, now },
  );
}

/**
 * True if the wave of the update `u` can go to a device that has not failed before and is not known to be out of reach.
 * A board that failed before is sampled last: it shows little about the release.
 */
const HAS_OTHERS_TO_START = `EXISTS (
             SELECT FROM device_update_status AS o WHERE o.rollout_id = u.rollout_id AND o.status = 'pending'
               AND NOT o.counts_as_started AND NOT o.failed_before AND o.unreachable_since IS NULL
               AND NOT ${isHeld('o.device_id')})`;

/** True if the jitter of the rollout is to spread the returns of devices that were out of reach, of which `u` is one. */
const IS_SPREAD = 'u.unreachable_since IS NOT NULL AND r.jitter_minutes > 0 AND u.spread_at IS NULL';

/**
 * Finds the pending updates of devices that have just reported, if they may be sent now. A device that was out of reach
 * is marked as reachable; if its rollout has no room now, the orchestrator picks the update as soon as it has. The jitter
 * of the rollout counts from the first return: after a power cut a whole site comes back at once. It counts once per
 * update, so that a device which sleeps through its time gets its command when it wakes next. Where the rollout has a
 * limit per value of an attribute, only a device that returns goes to dispatch, which counts: a device that waits for
 * room would ask at each of its reports.
 */
export async function findPendingForDevices(sql: Sql, deviceIds: readonly DeviceId[], now: Date): Promise<UpdateId[]> {
  const rows = await select(
    sql,
    z.strictObject({ id: ID.update }),
    `WITH pending AS (
       SELECT u.id, u.unreachable_since, ${IS_SPREAD} AS is_spread,
         ${jitterWait('u.device_id', 'u.rollout_id', 'r.jitter_minutes')} AS wait, coalesce(u.not_before, '-infinity') <= :now::timestamptz
           AND coalesce(r.start_at <= :now::timestamptz, true) AND ${HAS_PREDECESSOR_COMPLETED}
           AND coalesce(p.sends_until > :now::timestamptz, true)
           AND (u.counts_as_started OR p.started_count < coalesce(p.start_limit, p.started_count + 1))
           AND NOT (u.failed_before AND NOT u.counts_as_started AND p.start_limit IS NOT NULL AND ${HAS_OTHERS_TO_START})
           AND p.in_flight < coalesce(r.max_in_flight, p.in_flight + 1)
           AND (r.max_in_flight_per IS NULL OR u.unreachable_since IS NOT NULL OR u.sends > 0) AS may_go
       FROM device_update_status AS u
       JOIN rollout_configurations AS r ON r.id = u.rollout_id
       JOIN rollout_runtime AS p ON p.rollout_id = u.rollout_id AND ${IS_RUNNING}
       WHERE u.device_id IN (SELECT jsonb_array_elements_text(:devices::jsonb))
         AND u.completed_at IS NULL AND u.rollout_id IS NOT NULL AND u.status = 'pending' AND ${NOT_HELD}
     ), back_in_reach AS (
       UPDATE device_update_status AS u SET unreachable_since = NULL,
         enqueue_after = :now::timestamptz + CASE WHEN pending.is_spread THEN pending.wait ELSE interval '0' END,
         not_before = CASE WHEN pending.is_spread THEN :now::timestamptz + pending.wait ELSE u.not_before END,
         spread_at = CASE WHEN pending.is_spread THEN :now::timestamptz ELSE u.spread_at END
       FROM pending WHERE u.id = pending.id AND pending.unreachable_since IS NOT NULL AND u.status = 'pending'
     )
     SELECT id FROM pending WHERE may_go AND NOT is_spread ORDER BY id`,
    { devices: deviceIds, now },
  );
  return rows.map(({ id }) => id);
}
