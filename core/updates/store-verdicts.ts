import type { Sql } from '../db/index.ts';
import type { AttemptVerdict, Retry } from '../policy/index.ts';
import type { FactsRow } from './attempt-facts.ts';

export interface Evaluated {
  readonly row: FactsRow;
  readonly verdict: AttemptVerdict;
  /** Undefined if the verdict is stored; otherwise the update gets another attempt. */
  readonly retry: Retry | undefined;
}

/** An open update `u` of a rollout whose command was received, whether it was requeued or not. */
const IS_UNDER_WAY = 'u.completed_at IS NULL AND u.rollout_id IS NOT NULL';

export async function storeVerdicts(sql: Sql, evaluated: readonly Evaluated[]): Promise<void> {
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
export async function storeRetries(sql: Sql, evaluated: readonly Evaluated[]): Promise<void> {
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
