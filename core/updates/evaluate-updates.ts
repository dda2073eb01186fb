import * as z from 'zod';
import { inBatches, type RowOf, type Sql, select } from '../db/index.ts';
import {
  type AttemptFacts,
  type AttemptVerdict,
  evaluateAttempt,
  mayReach,
  planRetry,
  REPORTED_STATES,
  type ReportedState,
  type Retry,
  type StatusReport,
  UPDATE_STATES,
} from '../policy/index.ts';
import { COMMAND_FAMILIES, UNKNOWN_VERSION } from '../protocol/index.ts';
import { deliverySchema } from '../release-policy/index.ts';
import { ID, type UpdateId } from '../util/index.ts';
import { DEFAULT_INTERVAL_SECONDS, SEND_OUTCOMES } from './dispatch-updates.ts';
import { MAX_SENDS } from './requeue-unacknowledged.ts';

/**
 * The facts of an update can include a few dozen statuses; those of this many updates stay well under the Data API's
 * limit of 1 MiB.
 */
const UPDATES_PER_CALL = 100;

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
  refusal: z
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
type FactsRow = RowOf<typeof factsRow>;

interface Evaluated {
  readonly row: FactsRow;
  readonly verdict: AttemptVerdict;
  /** Undefined if the verdict is stored; otherwise the update gets another attempt. */
  readonly retry: Retry | undefined;
}

/**
 * Evaluates the newest attempt of each given update from all its events, and stores the verdict or schedules a retry,
 * unless an evaluation of more events was stored meanwhile: events are only added, so more events means later. A final
 * outcome does not change; a late message may still add details to it. Silence decides only until `processedUntil`,
 * because a message that was received later may still wait in a queue.
 */
export async function evaluateUpdates(sql: Sql, updateIds: readonly UpdateId[], processedUntil: Date): Promise<void> {
  for (const ids of inBatches(updateIds, UPDATES_PER_CALL)) {
    const evaluated = (await loadFacts(sql, ids)).map((row) => evaluate(row, processedUntil)).filter(isApplicable);
    await storeVerdicts(
      sql,
      evaluated.filter(({ retry }) => retry === undefined),
    );
    await storeRetries(sql, evaluated);
  }
}

/** Silence is left to the orchestrator: an opened link does not tell which messages of the device have been processed. */
const NO_SILENCE = new Date(0);

/**
 * Marks updates whose link was opened as under way. The database role of the function that serves links can neither end an
 * update nor record that its image was installed. Such a verdict is left to the next report or to the deadline.
 */
export async function markFetched(sql: Sql, updateIds: readonly UpdateId[]): Promise<void> {
  const evaluated = (await loadFacts(sql, updateIds)).map((row) => evaluate(row, NO_SILENCE)).filter(isApplicable);
  await storeVerdicts(
    sql,
    evaluated.filter(({ row, verdict }) => row.completed_at === null && isUnderWay(verdict)),
  );
}

const isUnderWay = ({ status, completedAt }: AttemptVerdict) => completedAt === null && status !== 'success';

function evaluate(row: FactsRow, processedUntil: Date): Evaluated {
  const habits = { reportIntervalSeconds: row.report_interval_seconds, restartsPerHour: row.restarts_per_hour };
  // The silence that ended an update is evaluated again, with the evidence that was processed since.
  const at = row.completed_at !== null && row.completed_at > processedUntil ? row.completed_at : processedUntil;
  const verdict = evaluateAttempt(toFacts(row), toTimes(row), habits, at);
  const mayRetry = row.rollout_id !== null && row.completed_at === null;
  const retry = mayRetry ? planRetry(verdict, toEndedAttempt(row)) : undefined;
  return { row, verdict, retry };
}

/**
 * A verdict moves an open update along the table of its states or not at all. A pending update changes only if a report
 * shows that its previous attempt was received. The verdict of an ended update is replaced by one that follows from
 * evidence received no later, whenever that is processed.
 */
function isApplicable({ row, verdict, retry }: Evaluated): boolean {
  if (row.completed_at !== null) return verdict.completedAt !== null && verdict.completedAt <= row.completed_at;
  if (!mayReach(row.status, verdict.status)) return false;
  const wasHeard = verdict.acknowledgedAt !== null || verdict.installedAt !== null;
  return row.status !== 'pending' || (wasHeard && (retry === undefined || row.used_attempts < row.attempt));
}

const overdueUpdate = z.strictObject({
  id: ID.update,
  status: z.enum(UPDATE_STATES),
  error_message: z.string().nullable(),
});
export type OverdueUpdate = RowOf<typeof overdueUpdate>;

/** Open updates whose deadline has passed, most overdue first; at most `limit`. */
export async function findOverdueUpdates(sql: Sql, now: Date, limit: number): Promise<OverdueUpdate[]> {
  return select(
    sql,
    overdueUpdate,
    `SELECT id, status, error_message FROM device_update_status
     WHERE completed_at IS NULL AND deadline_at <= :now::timestamptz
     ORDER BY deadline_at LIMIT :limit`,
    { now, limit },
  );
}

function loadFacts(sql: Sql, ids: readonly UpdateId[]): Promise<FactsRow[]> {
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
       coalesce(u.restarts_per_hour, 0) AS restarts_per_hour, coalesce(r.target_filter ? 'recovers', false) AS is_recovery
     FROM jsonb_array_elements_text(:ids::jsonb) AS requested(id)
     JOIN device_update_status AS u ON u.id = requested.id::bigint
       AND (u.completed_at IS NULL OR u.status IN ('success', 'failed', 'rolled_back', 'timed_out'))
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
             'code', e.payload -> 'code', 'message', e.payload -> 'message')
           ORDER BY e.received_at, e.payload_hash) FILTER (WHERE e.event_type = 'result') AS results,
         (jsonb_agg(jsonb_build_object('received_at', e.received_at, 'reason', e.payload -> 'reason',
             'retry_after_seconds', e.payload -> 'retryAfterSeconds')
           ORDER BY e.received_at, e.payload_hash) FILTER (WHERE e.event_type = 'declined')) -> 0 AS refusal,
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

function toFacts(row: FactsRow): AttemptFacts {
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
    refusal:
      row.refusal === null
        ? null
        : {
            receivedAt: new Date(row.refusal.received_at),
            reason: row.refusal.reason ?? 'no reason given',
            retryAfterSeconds: row.refusal.retry_after_seconds,
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

const toTimes = (row: FactsRow) => ({
  attemptTimeoutMinutes: row.attempt_timeout_minutes,
  bootTimeoutMinutes: row.boot_timeout_minutes,
  probationMinutes: row.probation_minutes,
});

const toEndedAttempt = (row: FactsRow) => ({
  updateId: row.id,
  attempt: row.attempt,
  maxAttempts: row.max_attempts,
  family: row.command_family,
  // A publish is never acknowledged, but a device that was seen awake after this many sends received none of them.
  isDelivered: row.send_result === 'acknowledged' || row.sends >= MAX_SENDS,
  delivery: row.delivery,
  linkOpened: row.link_opened_at !== null,
  declinedCount: row.declined_count,
  retryAfterSeconds: row.refusal?.retry_after_seconds ?? null,
  imageBytes: row.file_size,
  isRecovery: row.is_recovery,
});

/** An open update `u` of a rollout whose command was received, whether it was requeued or not. */
const IS_UNDER_WAY = 'u.completed_at IS NULL AND u.rollout_id IS NOT NULL';

async function storeVerdicts(sql: Sql, evaluated: readonly Evaluated[]): Promise<void> {
  if (evaluated.length === 0) return;
  const rows = evaluated.map(({ row, verdict: j }) => ({
    id: row.id,
    attempt: row.attempt,
    sent_at: row.sent_at,
    events: row.events,
    status: j.status,
    acknowledged_at: j.acknowledgedAt,
    reported_at: j.reportedAt,
    percent: j.percent,
    result_code: j.resultCode,
    error_message: j.errorMessage,
    cause: j.cause,
    installed_at: j.installedAt,
    booted_at: j.bootedAt,
    unexpected_version: j.unexpectedVersion,
    deadline_at: j.deadlineAt,
    completed_at: j.completedAt,
  }));
  await sql.query(
    `WITH j AS MATERIALIZED (
       SELECT * FROM jsonb_to_recordset(:rows::jsonb) AS j(id bigint, attempt integer, sent_at timestamptz, events integer,
         status text, acknowledged_at timestamptz, reported_at timestamptz, percent integer, result_code integer,
         error_message text, cause text, installed_at timestamptz, booted_at timestamptz, unexpected_version text,
         deadline_at timestamptz, completed_at timestamptz)
     ), before AS MATERIALIZED (
       SELECT u.id, u.holds_slot, u.counts_as_started FROM device_update_status AS u
       WHERE u.id IN (SELECT id FROM j) ORDER BY u.id FOR UPDATE
     ), evaluated AS (
       UPDATE device_update_status AS u SET
         -- An update that was requeued, and whose device has the command after all, takes back what it had given.
         holds_slot = u.holds_slot OR ${IS_UNDER_WAY} AND j.completed_at IS NULL,
         counts_as_started = u.counts_as_started OR ${IS_UNDER_WAY},
         status = j.status, attempt = j.attempt, sent_at = j.sent_at, evaluated_events = j.events,
         acknowledged_at = j.acknowledged_at, started_at = least(u.started_at, j.acknowledged_at),
         reported_at = coalesce(j.reported_at, u.reported_at), progress_percent = j.percent, result_code = j.result_code,
         error_message = j.error_message, cause = j.cause, installed_at = j.installed_at, booted_at = j.booted_at,
         unexpected_version = j.unexpected_version, unreachable_since = NULL, deadline_at = j.deadline_at,
         -- A device that acted on the command reads its topic family.
         next_family = CASE WHEN coalesce(j.acknowledged_at, j.installed_at) IS NULL THEN u.next_family END,
         -- Evidence that cancels a planned attempt cancels its plan: the previous attempt continues as it was sent.
         next_delivery = CASE WHEN u.status <> 'pending' THEN u.next_delivery WHEN j.attempt > 1 THEN
           (SELECT a.delivery FROM update_attempts AS a WHERE a.update_id = u.id AND a.attempt = j.attempt) END,
         not_before = NULL, enqueue_after = NULL,
         completed_at = j.completed_at
       FROM j JOIN before ON before.id = j.id
       WHERE u.id = j.id AND u.evaluated_events <= j.events
         AND (u.attempt = j.attempt OR u.status = 'pending' AND u.attempt = j.attempt - 1)
         AND (u.completed_at IS NULL OR j.completed_at <= u.completed_at)
       RETURNING u.id, u.rollout_id, u.attempt, u.status, u.result_code, u.error_message, u.completed_at,
         u.holds_slot AND NOT before.holds_slot AS takes_slot,
         u.counts_as_started AND NOT before.counts_as_started AS takes_start
     ), attempts AS (
       UPDATE update_attempts AS a SET
         ended_at = j.completed_at, status = j.status, result_code = j.result_code, reason = j.error_message
       FROM evaluated AS j WHERE a.update_id = j.id AND a.attempt = j.attempt AND j.completed_at IS NOT NULL
     ), taken AS (
       SELECT rollout_id, count(*) FILTER (WHERE takes_slot) AS slots, count(*) FILTER (WHERE takes_start) AS starts
       FROM evaluated WHERE takes_slot OR takes_start GROUP BY rollout_id
     )
     UPDATE rollout_runtime AS p SET in_flight = p.in_flight + taken.slots::integer,
       started_count = p.started_count + taken.starts::integer
     FROM taken WHERE p.rollout_id = taken.rollout_id`,
    { rows },
  );
}

/** Schedules another attempt. The reason of the failure stays with the attempt, and the slot is released at once. */
async function storeRetries(sql: Sql, evaluated: readonly Evaluated[]): Promise<void> {
  const rows = evaluated.flatMap(({ row, verdict: j, retry }) =>
    retry === undefined
      ? []
      : {
          id: row.id,
          attempt: row.attempt,
          events: row.events,
          status: j.status,
          acknowledged_at: j.acknowledgedAt,
          ended_at: j.completedAt,
          result_code: j.resultCode,
          reason: j.errorMessage,
          not_before: retry.notBefore,
          family: retry.family,
          delivery: retry.delivery,
          declined: j.cause === 'declined',
        },
  );
  if (rows.length === 0) return;
  await sql.query(
    `WITH ended AS (
       SELECT * FROM jsonb_to_recordset(:rows::jsonb) AS e(id bigint, attempt integer, events integer, status text,
         acknowledged_at timestamptz, ended_at timestamptz, result_code integer, reason text, not_before timestamptz,
         family text, delivery text, declined boolean)
     ), requeued AS (
       UPDATE device_update_status AS u SET
         status = 'pending', attempt = e.attempt, holds_slot = false, sent_at = NULL, evaluated_events = e.events,
         acknowledged_at = NULL, started_at = least(u.started_at, e.acknowledged_at),
         progress_percent = NULL, result_code = e.result_code, error_message = e.reason, cause = NULL,
         declined_count = u.declined_count + e.declined::integer, not_before = e.not_before,
         enqueue_after = e.not_before, next_family = e.family, next_delivery = e.delivery,
         deadline_at = greatest(u.created_at + make_interval(days => r.give_up_days),
           e.not_before + make_interval(mins => r.attempt_timeout_minutes))
       FROM ended AS e, rollout_configurations AS r, device_update_status AS before
       WHERE u.id = e.id AND u.attempt = CASE WHEN u.status = 'pending' THEN e.attempt - 1 ELSE e.attempt END
         AND u.completed_at IS NULL AND u.evaluated_events <= e.events AND r.id = u.rollout_id AND before.id = u.id
       RETURNING u.id, u.rollout_id, before.holds_slot
     ), attempts AS (
       UPDATE update_attempts AS a SET
         ended_at = e.ended_at, status = e.status, result_code = e.result_code, reason = e.reason
       FROM requeued JOIN ended AS e USING (id) WHERE a.update_id = e.id AND a.attempt = e.attempt
     ), freed AS (
       SELECT rollout_id, count(*)::integer AS slots FROM requeued WHERE holds_slot GROUP BY rollout_id
     )
     UPDATE rollout_runtime AS p SET in_flight = greatest(p.in_flight - freed.slots, 0)
     FROM freed WHERE p.rollout_id = freed.rollout_id`,
    { rows },
  );
}
