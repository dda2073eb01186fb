import type { Sql } from '../db/index.ts';
import type { DeviceId, UpdateId } from '../util/index.ts';
import { RELEASE_SLOTS } from './dispatch-updates.ts';

/** A sleeping device may miss its command repeatedly; after this many sends, the attempt runs to its deadline. */
export const MAX_SENDS = 20;
/**
 * `SendDirectMessage` waits this long for an acknowledgement: a status received earlier proves nothing about the
 * command.
 */
const ACKNOWLEDGEMENT_SECONDS = 5;

/** A device that received its command and has not acted on it after this time, although it is awake, ignores it. */
const IGNORED_SECONDS = 60;

/** Updates `u` that were sent and that the device did not report on, over the joins of {@link requeueStatement}. */
const IS_UNANSWERED = `u.completed_at IS NULL AND u.status = 'sent' AND u.acknowledged_at IS NULL
         AND u.sends < ${MAX_SENDS} AND r.id = u.rollout_id
         AND a.update_id = u.id AND a.attempt = u.attempt AND d.device_id = u.device_id AND d.current_firmware_version <> u.firmware_version AND before.id = u.id`;

/**
 * The client of the device did not acknowledge the command either. A device that a recovery takes may restart between
 * receiving the command and acting on it.
 */
const IS_UNACKNOWLEDGED = `(a.send_result IN ('unconfirmed', 'published')
           OR a.send_result = 'acknowledged' AND r.target_filter -> 'recovers' IS NOT NULL)`;

const DEADLINE = `greatest(u.created_at + make_interval(days => r.give_up_days),
           :now::timestamptz + make_interval(mins => r.attempt_timeout_minutes))`;

/** A device that has not started gives its place in the wave to another one. */
const GIVES_PLACE = 'u.started_at IS NOT NULL';
/** The device is awake and is sent the command again at once, so it keeps its place in the wave. */
const KEEPS_PLACE = 'u.counts_as_started';

const OTHER_FAMILY = `CASE a.command_family WHEN 'devices' THEN 'edge' WHEN 'edge' THEN 'devices' END`;

/** Requeues updates without using an attempt. */
const requeueStatement = (started: string, set: string, from: string, condition: string) => `WITH requeued AS (
       UPDATE device_update_status AS u SET
         status = 'pending', attempt = u.attempt - 1, holds_slot = false, counts_as_started = ${started},
         sent_at = NULL, deadline_at = ${DEADLINE}, ${set}
       FROM ${from},
         rollout_configurations AS r, update_attempts AS a, devices AS d, device_update_status AS before
       WHERE ${condition} AND ${IS_UNANSWERED}
       RETURNING u.rollout_id, before.holds_slot, before.counts_as_started AND NOT u.counts_as_started AS start_returned
     ), ${RELEASE_SLOTS}
     FROM freed WHERE p.rollout_id = freed.rollout_id`;

const WAS_ASLEEP = `error_message = 'the device was asleep'`;

/**
 * Requeues updates whose command was probably not received: nobody acknowledged it, the device reported nothing about
 * it, and it has since reported another version. A published command is never acknowledged. A device that is awake a
 * minute later may not read its topic family, so the families take turns.
 */
export async function requeueUnacknowledged(
  sql: Sql,
  sightings: readonly { deviceId: DeviceId; receivedAt: Date }[],
  now: Date,
): Promise<void> {
  if (sightings.length === 0) return;
  await sql.query(
    requeueStatement(
      GIVES_PLACE,
      `enqueue_after = :now::timestamptz, ${WAS_ASLEEP},
         next_family = CASE
           WHEN a.send_result = 'published' AND s."receivedAt" >= u.sent_at + interval '${IGNORED_SECONDS} seconds'
             THEN ${OTHER_FAMILY}
           ELSE u.next_family END`,
      `jsonb_to_recordset(:sightings::jsonb) AS s("deviceId" text, "receivedAt" timestamptz)`,
      `u.device_id = s."deviceId" AND s."receivedAt" > u.sent_at + interval '${ACKNOWLEDGEMENT_SECONDS} seconds'
         AND ${IS_UNACKNOWLEDGED}`,
    ),
    { sightings, now },
  );
}

/**
 * Requeues updates whose command was delivered and ignored, for the other topic family: clients acknowledge commands on
 * topics that their firmware does not read. Once per update, and only after a status that shows the device awake: a
 * device that reads both families loses a second command during an update.
 */
export async function requeueIgnored(
  sql: Sql,
  sightings: readonly { deviceId: DeviceId; receivedAt: Date }[],
  now: Date,
): Promise<void> {
  if (sightings.length === 0) return;
  await sql.query(
    requeueStatement(
      KEEPS_PLACE,
      `enqueue_after = :now::timestamptz,
         next_family = ${OTHER_FAMILY},
         error_message = 'the device received its command under …/' || a.command_family || '/ and ignored it'`,
      `jsonb_to_recordset(:sightings::jsonb) AS s("deviceId" text, "receivedAt" timestamptz)`,
      `u.device_id = s."deviceId" AND s."receivedAt" >= u.sent_at + interval '${IGNORED_SECONDS} seconds'
         AND a.send_result = 'acknowledged' AND r.target_filter -> 'recovers' IS NULL AND u.next_family IS NULL
         AND a.command_family IS NOT NULL`,
    ),
    { sightings, now },
  );
}

/**
 * Requeues overdue updates whose device has not been seen since the send: it is out of reach, and gets its command when
 * it reports again. Its statuses that were received by `processedUntil` have been processed.
 */
export async function requeueUnseen(
  sql: Sql,
  updateIds: readonly UpdateId[],
  now: Date,
  processedUntil: Date,
): Promise<void> {
  if (updateIds.length === 0) return;
  await sql.query(
    requeueStatement(
      GIVES_PLACE,
      `${WAS_ASLEEP}, enqueue_after = ${DEADLINE}, unreachable_since = :now::timestamptz`,
      'jsonb_array_elements_text(:ids::jsonb) AS overdue(id)',
      `u.id = overdue.id::bigint AND u.deadline_at <= :processed_until::timestamptz
         AND coalesce(d.last_seen, '-infinity') <= u.sent_at + interval '${ACKNOWLEDGEMENT_SECONDS} seconds'
         AND ${IS_UNACKNOWLEDGED}`,
    ),
    { ids: updateIds, now, processed_until: processedUntil },
  );
}
