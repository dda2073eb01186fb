import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import {
  type AttemptFacts,
  FAILED_LIST,
  REPORTED_STATES,
  type ReportedState,
  type StatusReport,
  UPDATE_STATES,
} from '../policy/index.ts';
import { COMMAND_FAMILIES, UNKNOWN_VERSION } from '../protocol/index.ts';
import { deliverySchema } from '../release-policy/index.ts';
import { ID, type UpdateId } from '../util/index.ts';
import { DEFAULT_INTERVAL_SECONDS, SEND_OUTCOMES } from './dispatch-updates.ts';

/**
 * Statuses `e` that may be evidence of a boot: those of another version than before, and those that show by their uptime
 * that the device booted after the first sign of the update (`since`). The other heartbeats of the old version prove
 * only that the device was up, and there may be a day of them: the newest is enough.
 */
const IS_BOOT_EVIDENCE = `(e.payload ->> 'version' IS DISTINCT FROM u.previous_version OR e.received_at >= w.since
           AND coalesce((e.payload ->> 'uptimeSeconds')::bigint < extract(epoch FROM e.received_at - w.since), true))`;

const STATUS_OBJECT = `jsonb_build_object('version', e.payload -> 'version', 'received_at', e.received_at,
             'uptime_seconds', e.payload -> 'uptimeSeconds')`;

const statusRow = z.strictObject({
  version: z.string(),
  received_at: z.string(),
  uptime_seconds: z.number().nullable(),
});

const factsRow = z.strictObject({
  id: ID.update,
  attempt: z.int(),
  /** One less than `attempt` if that attempt seemed not to be received and the update was requeued. */
  used_attempts: z.int(),
  status: z.enum(UPDATE_STATES),
  completed_at: z.date().nullable(),
  rollout_id: ID.rollout.nullable(),
  events: z.int(),
  firmware_version: z.string(),
  previous_version: z.string().nullable(),
  command_family: z.enum(COMMAND_FAMILIES).nullable(),
  send_result: z.enum(SEND_OUTCOMES).nullable(),
  sends: z.int(),
  delivery: deliverySchema.nullable(),
  file_size: z.int(),
  max_attempts: z.int(),
  link_opened_at: z.date().nullable(),
  last_progress_at: z.date().nullable(),
  reported_failed_at: z.date().nullable(),
  declined_count: z.int(),
  sent_at: z.date(),
  acknowledged_at: z.date().nullable(),
  last_report_at: z.date().nullable(),
  furthest: z.int().nullable(),
  percent: z.int().nullable(),
  results: z
    .array(
      z.strictObject({
        received_at: z.string(),
        success: z.boolean(),
        code: z.int().nullable(),
        message: z.string().nullable(),
      }),
    )
    .nullable(),
  decline: z
    .strictObject({
      received_at: z.string(),
      reason: z.string().nullable(),
      retry_after_seconds: z.number().nullable(),
    })
    .nullable(),
  boots: z.array(statusRow).nullable(),
  newest_status: statusRow.nullable(),
  report_interval_seconds: z.number(),
  restarts_per_hour: z.number(),
  attempt_timeout_minutes: z.int(),
  boot_timeout_minutes: z.int(),
  probation_minutes: z.int(),
  is_recovery: z.boolean(),
});
export type FactsRow = RowOf<typeof factsRow>;

/** The facts of the newest attempt of each update, with the settings by which they are judged. */
export function loadFacts(sql: Sql, ids: readonly UpdateId[]): Promise<FactsRow[]> {
  return select(
    sql,
    factsRow,
    `SELECT u.id, a.attempt, u.attempt AS used_attempts, u.status, u.completed_at, u.rollout_id, u.declined_count,
       u.firmware_version, u.previous_version, a.sent_at, a.command_family, a.send_result, u.sends, a.delivery, f.*,
       coalesce(i.file_size, 0) AS file_size, coalesce(r.max_attempts, 1) AS max_attempts,
       coalesce(r.attempt_timeout_minutes, 30) AS attempt_timeout_minutes,
       coalesce(r.boot_timeout_minutes, 15) AS boot_timeout_minutes,
       coalesce(r.probation_minutes, 5) AS probation_minutes,
       coalesce(u.report_interval_seconds, ${DEFAULT_INTERVAL_SECONDS}) AS report_interval_seconds,
       coalesce(u.restarts_per_hour, 0) AS restarts_per_hour, r.target_filter -> 'recovers' IS NOT NULL AS is_recovery
     FROM jsonb_array_elements_text(:ids::jsonb) AS requested(id)
     JOIN device_update_status AS u ON u.id = requested.id::bigint
       AND (u.completed_at IS NULL OR u.status = 'success' OR u.status IN ${FAILED_LIST})
     JOIN LATERAL (
       SELECT attempt, sent_at, command_family, send_result, delivery FROM update_attempts
       WHERE update_id = u.id ORDER BY attempt DESC LIMIT 1
     ) AS a ON a.attempt = u.attempt OR u.status = 'pending'
     LEFT JOIN firmware_releases AS i ON i.id = u.release_id
     LEFT JOIN rollout_configurations AS r ON r.id = u.rollout_id
     CROSS JOIN LATERAL (
       SELECT min(e.received_at) AS since FROM ota_events AS e
       WHERE e.update_id = u.id AND e.attempt = a.attempt AND (e.event_type IN ('accepted', 'result', 'fetch')
         OR e.event_type = 'status' AND e.payload ->> 'version' IS DISTINCT FROM u.previous_version)
     ) AS w
     CROSS JOIN LATERAL (
       SELECT count(*)::integer AS events,
         min(e.received_at) FILTER (WHERE e.event_type <> 'status') AS acknowledged_at,
         max(e.received_at) FILTER (WHERE e.event_type <> 'status') AS last_report_at,
         max(array_position(string_to_array(:states, ','), e.state)) AS furthest,
         min(e.received_at) FILTER (WHERE e.event_type = 'fetch') AS link_opened_at,
         max((e.payload ->> 'percent')::integer) FILTER (WHERE e.event_type = 'progress') AS percent,
         (array_agg(e.received_at ORDER BY 1000 * array_position(string_to_array(:states, ','), e.state)
             + coalesce((e.payload ->> 'percent')::integer, 0) DESC NULLS LAST, e.received_at)
           FILTER (WHERE e.event_type = 'progress' AND e.state IS NOT NULL))[1] AS last_progress_at,
         min(e.received_at) FILTER (WHERE e.event_type = 'progress' AND lower(e.payload ->> 'state') = 'failed')
           AS reported_failed_at,
         jsonb_agg(jsonb_build_object('received_at', e.received_at, 'success', e.payload -> 'success',
             'code', e.payload -> 'resultCode', 'message', e.payload -> 'message')
           ORDER BY e.received_at, e.payload_hash) FILTER (WHERE e.event_type = 'result') AS results,
         (jsonb_agg(jsonb_build_object('received_at', e.received_at, 'reason', e.payload -> 'reason',
             'retry_after_seconds', e.payload -> 'retryAfterSeconds')
           ORDER BY e.received_at, e.payload_hash) FILTER (WHERE e.event_type = 'declined')) -> 0 AS decline,
         jsonb_agg(${STATUS_OBJECT} ORDER BY e.received_at, e.payload_hash)
           FILTER (WHERE e.event_type = 'status' AND ${IS_BOOT_EVIDENCE}) AS boots,
         (jsonb_agg(${STATUS_OBJECT} ORDER BY e.received_at DESC, e.payload_hash)
           FILTER (WHERE e.event_type = 'status' AND e.received_at >= w.since)) -> 0 AS newest_status
       FROM ota_events AS e
       WHERE e.update_id = u.id AND e.attempt = a.attempt
     ) AS f`,
    { ids, states: REPORTED_STATES.join(',') },
  );
}

export function toFacts(row: FactsRow): AttemptFacts {
  return {
    targetVersion: row.firmware_version,
    previousVersion: row.previous_version === UNKNOWN_VERSION ? null : row.previous_version,
    sentAt: row.sent_at,
    acknowledgedAt: row.acknowledged_at,
    lastReportAt: row.last_report_at,
    furthestState: row.furthest === null ? null : (REPORTED_STATES[row.furthest - 1] as ReportedState),
    percent: row.percent,
    linkOpenedAt: row.link_opened_at,
    lastProgressAt: row.last_progress_at,
    failedAt: row.reported_failed_at,
    results: (row.results ?? []).map((result) => ({ ...result, receivedAt: new Date(result.received_at) })),
    decline:
      row.decline === null
        ? null
        : {
            receivedAt: new Date(row.decline.received_at),
            reason: row.decline.reason ?? 'no reason given',
            retryAfterSeconds: row.decline.retry_after_seconds,
          },
    statuses: statusesOf(row),
  };
}

function statusesOf({ boots, newest_status: newest }: FactsRow): StatusReport[] {
  const known = boots ?? [];
  const isKnown = newest === null || known.some(({ received_at: at }) => at === newest.received_at);
  return (isKnown ? known : [...known, newest])
    .map(({ version, received_at, uptime_seconds }) => ({
      version,
      receivedAt: new Date(received_at),
      uptimeSeconds: uptime_seconds,
    }))
    .sort((a, b) => a.receivedAt.getTime() - b.receivedAt.getTime());
}

export const toTimes = (row: FactsRow) => ({
  attemptTimeoutMinutes: row.attempt_timeout_minutes,
  bootTimeoutMinutes: row.boot_timeout_minutes,
  probationMinutes: row.probation_minutes,
});
