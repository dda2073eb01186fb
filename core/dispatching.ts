import type { Sql } from './database.ts';
import type { CommandFamily } from './topics.ts';

/** An owed update with what its command needs. */
export interface OwedUpdate {
  readonly id: number;
  readonly device_id: string;
  readonly client_id: string | null;
  readonly command_family: CommandFamily | null;
  readonly device_model: string;
  readonly rollout_id: number;
  readonly firmware_version: string;
  readonly attempt: number;
  readonly checksum_sha256: string;
  readonly object_key: string;
  readonly file_size: number;
}

const OWED_COLUMNS = `u.id, u.device_id, d.client_id, d.command_family, d.device_model, u.rollout_id, u.firmware_version,
  u.attempt, f.checksum_sha256, f.object_key, f.file_size`;

/** Those of the given updates that are still owed a command, whose rollout may send. */
export async function readOwedUpdates(sql: Sql, ids: readonly number[]): Promise<OwedUpdate[]> {
  return sql.query(
    `SELECT ${OWED_COLUMNS}
     FROM jsonb_array_elements_text(:ids::jsonb) AS wanted(id)
     JOIN device_update_status AS u ON u.id = wanted.id::bigint AND u.status = 'pending'
     JOIN devices AS d USING (device_id)
     JOIN firmware_releases AS f ON f.id = u.release_id
     JOIN rollout_pace AS p ON p.rollout_id = u.rollout_id AND NOT p.halted
     ORDER BY u.id`,
    { ids },
  );
}

export interface PlannedSend {
  readonly id: number;
  readonly family: CommandFamily;
  readonly delivery: string;
}

/** How many of the asked slots the pace row allows: what is left in flight and in this minute. */
const GRANT = `greatest(0, least(asked.slots,
           coalesce(r.max_in_flight - p.in_flight, asked.slots),
           coalesce(r.max_per_minute - CASE WHEN p.minute = asked.minute THEN p.sent_in_minute ELSE 0 END, asked.slots)))`;

/**
 * Reserves slots and marks the updates of one rollout as sent, before anything is sent: after this an update is sent at
 * most once an attempt. Rows that another dispatcher holds are skipped; how many may go is decided by the pace row alone,
 * under its lock, so that no number of dispatchers exceeds a limit. Counting the open updates here instead would read a
 * snapshot older than the lock (tried on PostgreSQL 15: a limit of 5 gave 10).
 * @returns the updates that may now be sent, with their attempt number; the others stay owed
 */
export async function reserveSends(
  sql: Sql,
  rolloutId: number,
  sends: readonly PlannedSend[],
  now: Date,
): Promise<{ id: number; attempt: number }[]> {
  return sql.query(
    `WITH wanted AS (
       SELECT u.id, r.family, r.delivery
       FROM device_update_status AS u
       JOIN jsonb_to_recordset(:sends::jsonb) AS r(id bigint, family text, delivery text) ON r.id = u.id
       WHERE u.rollout_id = :rollout AND u.status = 'pending' AND u.closed_at IS NULL
       ORDER BY u.id
       FOR UPDATE OF u SKIP LOCKED
     ), asked AS (
       SELECT count(*)::integer AS slots, date_trunc('minute', :now::timestamptz) AS minute FROM wanted
     ), pace AS (
       UPDATE rollout_pace AS p SET
         in_flight = p.in_flight + ${GRANT},
         sent_in_minute = CASE WHEN p.minute = asked.minute THEN p.sent_in_minute ELSE 0 END + ${GRANT},
         granted = ${GRANT},
         minute = asked.minute
       FROM asked, rollout_configurations AS r
       WHERE p.rollout_id = :rollout AND r.id = :rollout AND NOT p.halted
       RETURNING p.granted
     ), chosen AS (
       SELECT id, family, delivery FROM wanted
       -- A halted rollout has no pace row here, and LIMIT NULL would be no limit at all.
       ORDER BY id LIMIT coalesce((SELECT granted FROM pace), 0)
     ), sent AS (
       UPDATE device_update_status AS u SET
         status = 'sent', attempt = u.attempt + 1, sends = u.sends + 1, sent_at = :now::timestamptz, slot_held = true,
         reported_at = :now::timestamptz, folded_events = 0, error_message = NULL,
         deadline_at = :now::timestamptz + make_interval(mins => r.attempt_timeout_minutes)
       FROM chosen, rollout_configurations AS r
       WHERE u.id = chosen.id AND r.id = u.rollout_id
       RETURNING u.id, u.attempt, u.device_id, u.firmware_version, chosen.family, chosen.delivery
     ), recorded AS (
       INSERT INTO update_attempts AS a (update_id, attempt, device_id, version, sent_at, command_family, delivery)
       SELECT id, attempt, device_id, firmware_version, :now::timestamptz, family, delivery FROM sent
       ON CONFLICT (update_id, attempt) DO UPDATE SET
         sent_at = excluded.sent_at, command_family = excluded.command_family, delivery = excluded.delivery, outcome = NULL
     )
     SELECT id, attempt FROM sent ORDER BY id`,
    { rollout: rolloutId, sends, now },
  );
}

export interface SendOutcome {
  readonly id: number;
  readonly attempt: number;
  /** `absent` and `throttled` make the update owed again and use no attempt; `refused` ends it. */
  readonly outcome: 'acknowledged' | 'unconfirmed' | 'absent' | 'throttled' | 'refused';
  readonly message: string | null;
  /** For an update that is owed again: when the orchestrator may look at it, if its device does not wake before. */
  readonly retryAt: Date | null;
}

/** Stores what became of sends. Statements that find the update moved on (it answered meanwhile) change nothing. */
export async function storeSendOutcomes(sql: Sql, outcomes: readonly SendOutcome[], now: Date): Promise<void> {
  if (outcomes.length === 0) return;
  await sql.query(
    `WITH told AS (
       SELECT * FROM jsonb_to_recordset(:outcomes::jsonb)
         AS o(id bigint, attempt integer, outcome text, message text, "retryAt" timestamptz)
     ), noted AS (
       UPDATE update_attempts AS a SET outcome = told.outcome
       FROM told WHERE a.update_id = told.id AND a.attempt = told.attempt
     ), owed AS (
       UPDATE device_update_status AS u SET
         status = 'pending', attempt = u.attempt - 1, slot_held = false, sent_at = NULL,
         enqueue_after = told."retryAt", error_message = told.message,
         deadline_at = u.created_at + make_interval(days => r.claim_deadline_days)
       FROM told, rollout_configurations AS r
       WHERE u.id = told.id AND u.attempt = told.attempt AND u.status = 'sent' AND r.id = u.rollout_id
         AND told.outcome IN ('absent', 'throttled')
       RETURNING u.rollout_id
     ), refused AS (
       UPDATE device_update_status AS u SET
         status = 'failed', error_message = told.message, closed_at = :now::timestamptz, completed_at = :now::timestamptz,
         deadline_at = NULL
       FROM told
       WHERE u.id = told.id AND u.attempt = told.attempt AND u.status = 'sent' AND told.outcome = 'refused'
     ), freed AS (
       SELECT rollout_id, count(*)::integer AS slots FROM owed GROUP BY rollout_id
     )
     UPDATE rollout_pace AS p SET
       in_flight = p.in_flight - freed.slots,
       sent_in_minute = CASE WHEN p.minute = date_trunc('minute', :now::timestamptz)
         THEN greatest(p.sent_in_minute - freed.slots, 0) ELSE p.sent_in_minute END
     FROM freed WHERE p.rollout_id = freed.rollout_id`,
    { outcomes, now },
  );
}

/** Ends owed updates that cannot be sent at all, each with its reason. */
export async function failOwedUpdates(
  sql: Sql,
  failures: readonly { id: number; message: string }[],
  now: Date,
): Promise<void> {
  if (failures.length === 0) return;
  await sql.query(
    `UPDATE device_update_status AS u SET
       status = 'failed', error_message = f.message, closed_at = :now::timestamptz, completed_at = :now::timestamptz,
       deadline_at = NULL
     FROM jsonb_to_recordset(:failures::jsonb) AS f(id bigint, message text)
     WHERE u.id = f.id AND u.status = 'pending'`,
    { failures, now },
  );
}

/** What the devices just seen are owed. */
export async function findOwedTo(sql: Sql, deviceIds: readonly string[]): Promise<number[]> {
  const rows = await sql.query<{ id: number }>(
    `SELECT u.id
     FROM device_update_status AS u
     JOIN rollout_pace AS p ON p.rollout_id = u.rollout_id AND NOT p.halted
     WHERE u.device_id IN (SELECT jsonb_array_elements_text(:devices::jsonb))
       AND u.closed_at IS NULL AND u.rollout_id IS NOT NULL AND u.status = 'pending'`,
    { devices: deviceIds },
  );
  return rows.map(({ id }) => id);
}

/**
 * Picks owed updates of a rollout to be dispatched, and puts them off, so that the next tick does not pick them again
 * while they wait in the queue.
 */
export async function pickOwedUpdates(
  sql: Sql,
  rolloutId: number,
  limit: number,
  now: Date,
  putOffSeconds: number,
): Promise<number[]> {
  const rows = await sql.query<{ id: number }>(
    `UPDATE device_update_status SET enqueue_after = :now::timestamptz + make_interval(secs => :seconds)
     WHERE id IN (
       SELECT u.id FROM device_update_status AS u
       JOIN rollout_pace AS p ON p.rollout_id = u.rollout_id AND NOT p.halted
       WHERE u.rollout_id = :rollout AND u.status = 'pending' AND u.enqueue_after <= :now::timestamptz
       ORDER BY u.enqueue_after LIMIT :limit
       FOR UPDATE OF u SKIP LOCKED)
     RETURNING id`,
    { rollout: rolloutId, limit, now, seconds: putOffSeconds },
  );
  return rows.map(({ id }) => id);
}

/** A sleeping device may miss its command again and again; past this many sends its attempt is left to its deadline. */
const MAX_SENDS = 20;
/** `SendDirectMessage` waits this long for an acknowledgement: a status received earlier proves nothing about the command. */
const CONFIRMATION_SECONDS = 5;

/**
 * Owes a command again that was sent into the void: nobody acknowledged it, nothing was heard of it, and its device has
 * since been seen awake on another version. Uses no attempt.
 */
export async function oweUnconfirmedAgain(
  sql: Sql,
  sightings: readonly { deviceId: string; receivedAt: Date }[],
  now: Date,
): Promise<void> {
  if (sightings.length === 0) return;
  await sql.query(
    `WITH owed AS (
       UPDATE device_update_status AS u SET
         status = 'pending', attempt = u.attempt - 1, slot_held = false, sent_at = NULL, enqueue_after = :now::timestamptz,
         error_message = 'the device was asleep', deadline_at = u.created_at + make_interval(days => r.claim_deadline_days)
       FROM jsonb_to_recordset(:sightings::jsonb) AS s("deviceId" text, "receivedAt" timestamptz),
         rollout_configurations AS r, update_attempts AS a, devices AS d
       WHERE u.device_id = s."deviceId" AND u.closed_at IS NULL AND u.status = 'sent' AND u.acknowledged_at IS NULL
         AND u.sends < ${MAX_SENDS} AND s."receivedAt" > u.sent_at + interval '${CONFIRMATION_SECONDS} seconds'
         AND r.id = u.rollout_id AND a.update_id = u.id AND a.attempt = u.attempt AND a.outcome = 'unconfirmed'
         AND d.device_id = u.device_id AND d.current_firmware_version <> u.firmware_version
       RETURNING u.rollout_id
     ), freed AS (
       SELECT rollout_id, count(*)::integer AS slots FROM owed GROUP BY rollout_id
     )
     UPDATE rollout_pace AS p SET in_flight = p.in_flight - freed.slots
     FROM freed WHERE p.rollout_id = freed.rollout_id`,
    { sightings, now },
  );
}
