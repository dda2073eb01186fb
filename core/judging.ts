import { inBatches } from './batches.ts';
import type { Sql } from './database.ts';
import {
  type AttemptFacts,
  type Judgement,
  judgeAttempt,
  REPORTED_STATES,
  type ReportedState,
} from './update-policy.ts';

/** Each update's facts can hold a few dozen statuses: this many stay well under the Data API's 1 MiB answer. */
const UPDATES_A_CALL = 100;

interface FactsRow {
  readonly id: number;
  readonly attempt: number;
  readonly events: number;
  readonly firmware_version: string;
  readonly sent_at: Date;
  readonly acknowledged_at: Date | null;
  readonly last_report_at: Date | null;
  readonly furthest: number | null;
  readonly percent: number | null;
  readonly result: { received_at: string; success: boolean; code: number | null; message: string | null } | null;
  readonly boots: { version: string; received_at: string; uptime_seconds: number | null }[] | null;
  readonly attempt_timeout_minutes: number;
  readonly confirm_timeout_minutes: number;
  readonly survival_minutes: number;
}

/**
 * Judges the current attempt of each open update anew from all its events and stores the verdict, unless a judgement
 * that saw more events was stored meanwhile: events are only ever added, so more means later. An outcome that is final
 * stays; a message that comes late may still complete what is known of it.
 */
export async function judgeUpdates(sql: Sql, updateIds: readonly number[], now: Date): Promise<void> {
  for (const ids of inBatches(updateIds, UPDATES_A_CALL)) {
    const rows = await readFacts(sql, ids);
    await storeJudgements(
      sql,
      rows.map((row) => ({ row, judgement: judgeAttempt(toFacts(row), toTimes(row), now) })),
    );
  }
}

/** Open updates whose deadline has passed, the most overdue first; at most `limit`. */
export async function findOverdueUpdates(
  sql: Sql,
  now: Date,
  limit: number,
): Promise<{ id: number; status: string }[]> {
  return sql.query(
    `SELECT id, status FROM device_update_status
     WHERE closed_at IS NULL AND deadline_at <= :now::timestamptz
     ORDER BY deadline_at LIMIT :limit`,
    { now, limit },
  );
}

function readFacts(sql: Sql, ids: readonly number[]): Promise<FactsRow[]> {
  return sql.query(
    `SELECT u.id, u.attempt, u.firmware_version, u.sent_at, f.*,
       coalesce(r.attempt_timeout_minutes, 30) AS attempt_timeout_minutes,
       coalesce(r.confirm_timeout_minutes, 15) AS confirm_timeout_minutes,
       coalesce(r.survival_minutes, 5) AS survival_minutes
     FROM jsonb_array_elements_text(:ids::jsonb) AS wanted(id)
     JOIN device_update_status AS u ON u.id = wanted.id::bigint AND u.sent_at IS NOT NULL
       AND (u.closed_at IS NULL AND u.status <> 'pending' OR u.status IN ('success', 'failed', 'rolled_back'))
     LEFT JOIN rollout_configurations AS r ON r.id = u.rollout_id
     CROSS JOIN LATERAL (
       SELECT count(*)::integer AS events,
         min(e.received_at) FILTER (WHERE e.event_type <> 'status') AS acknowledged_at,
         max(e.received_at) FILTER (WHERE e.event_type <> 'status') AS last_report_at,
         max(array_position(string_to_array(:states, ','), e.state)) AS furthest,
         max((e.payload ->> 'percent')::integer) FILTER (WHERE e.event_type = 'progress') AS percent,
         (jsonb_agg(jsonb_build_object('received_at', e.received_at, 'success', e.payload -> 'success',
             'code', e.payload -> 'code', 'message', e.payload -> 'message')
           ORDER BY e.received_at, e.payload_hash) FILTER (WHERE e.event_type = 'result')) -> 0 AS result,
         jsonb_agg(jsonb_build_object('version', e.payload -> 'version', 'received_at', e.received_at,
             'uptime_seconds', e.payload -> 'uptimeSeconds')
           ORDER BY e.received_at, e.payload_hash) FILTER (WHERE e.event_type = 'status') AS boots
       FROM ota_events AS e
       WHERE e.update_id = u.id AND e.attempt = u.attempt
     ) AS f`,
    { ids, states: REPORTED_STATES.join(',') },
  );
}

function toFacts(row: FactsRow): AttemptFacts {
  return {
    targetVersion: row.firmware_version,
    sentAt: row.sent_at,
    acknowledgedAt: row.acknowledged_at,
    lastReportAt: row.last_report_at,
    furthestState: row.furthest === null ? null : (REPORTED_STATES[row.furthest - 1] as ReportedState),
    percent: row.percent,
    result: row.result === null ? null : { ...row.result, receivedAt: new Date(row.result.received_at) },
    boots: (row.boots ?? []).map(({ version, received_at, uptime_seconds }) => ({
      version,
      receivedAt: new Date(received_at),
      uptimeSeconds: uptime_seconds,
    })),
  };
}

const toTimes = (row: FactsRow) => ({
  attemptTimeoutMinutes: row.attempt_timeout_minutes,
  confirmTimeoutMinutes: row.confirm_timeout_minutes,
  survivalMinutes: row.survival_minutes,
});

async function storeJudgements(sql: Sql, judged: readonly { row: FactsRow; judgement: Judgement }[]): Promise<void> {
  if (judged.length === 0) return;
  const rows = judged.map(({ row, judgement: j }) => ({
    id: row.id,
    attempt: row.attempt,
    events: row.events,
    status: j.status,
    acknowledged_at: j.acknowledgedAt,
    reported_at: j.reportedAt,
    percent: j.percent,
    result_code: j.resultCode,
    error_message: j.errorMessage,
    written_at: j.writtenAt,
    confirmed_at: j.confirmedAt,
    deadline_at: j.deadlineAt,
    closed_at: j.closedAt,
  }));
  await sql.query(
    `UPDATE device_update_status AS u SET
       status = j.status, folded_events = j.events, acknowledged_at = j.acknowledged_at,
       started_at = coalesce(u.started_at, j.acknowledged_at), reported_at = coalesce(j.reported_at, u.reported_at),
       progress_percent = j.percent, result_code = j.result_code, error_message = j.error_message,
       written_at = j.written_at, confirmed_at = j.confirmed_at, deadline_at = j.deadline_at, closed_at = j.closed_at,
       completed_at = j.closed_at
     FROM jsonb_to_recordset(:rows::jsonb) AS j(id bigint, attempt integer, events integer, status text,
       acknowledged_at timestamptz, reported_at timestamptz, percent integer, result_code integer, error_message text,
       written_at timestamptz, confirmed_at timestamptz, deadline_at timestamptz, closed_at timestamptz)
     WHERE u.id = j.id AND u.attempt = j.attempt AND u.folded_events <= j.events
       AND (u.closed_at IS NULL OR u.status = j.status AND j.closed_at IS NOT NULL)`,
    { rows },
  );
}

/**
 * Gives back the slots of updates that have ended. One statement, and repeatable: a slot is given back by whoever
 * clears `slot_held`, and only closed updates are touched, which no send ever waits for.
 */
export async function releaseSlots(sql: Sql): Promise<void> {
  await sql.query(
    `WITH ended AS (
       UPDATE device_update_status SET slot_held = false
       WHERE id IN (
         SELECT id FROM device_update_status WHERE slot_held AND closed_at IS NOT NULL
         ORDER BY id LIMIT 5000 FOR UPDATE SKIP LOCKED)
       RETURNING rollout_id
     ), freed AS (
       SELECT rollout_id, count(*)::integer AS slots FROM ended GROUP BY rollout_id
     )
     UPDATE rollout_pace AS p SET in_flight = p.in_flight - freed.slots
     FROM freed WHERE p.rollout_id = freed.rollout_id`,
  );
}
