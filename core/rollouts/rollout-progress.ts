import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { FAILED_LIST, UPDATE_STATES, type UpdateState } from '../policy/index.ts';
import { CAUSES } from '../protocol/index.ts';
import { ID, type RolloutId } from '../util/index.ts';

const stageRow = z.strictObject({
  stage: z.int(),
  size: z.int(),
  began_at: z.date(),
  ended_at: z.date().nullable(),
  /** Device updates by state; an update on probation counts as installing. */
  states: z.partialRecord(z.enum(UPDATE_STATES), z.int()),
});
export type StageRow = RowOf<typeof stageRow>;

/** The stages that a rollout has entered, with the states of the devices assigned in each. */
export async function listStages(sql: Sql, rolloutId: RolloutId): Promise<StageRow[]> {
  return select(
    sql,
    stageRow,
    `SELECT s.stage, coalesce(s.start_quota, s.target_count) AS size, s.began_at, s.ended_at, coalesce(c.states, '{}') AS states FROM rollout_stages AS s
     LEFT JOIN (
       SELECT stage, jsonb_object_agg(state, devices) AS states FROM (
         SELECT stage, CASE state WHEN 'on_probation' THEN 'installing' WHEN 'late_success' THEN 'failed' WHEN 'late_rollback' THEN 'rolled_back'
             ELSE state END AS state, sum(updates) AS devices
         FROM update_counts WHERE rollout_id = :rollout AND NOT is_reclaimable GROUP BY 1, 2 HAVING sum(updates) > 0
       ) AS counted
       GROUP BY stage
     ) AS c ON c.stage = s.stage
     WHERE s.rollout_id = :rollout ORDER BY s.stage`,
    { rollout: rolloutId },
  );
}

const failureRow = z.strictObject({
  status: z.enum([...UPDATE_STATES, 'late_success']),
  /** Null: nothing says what it was. */
  cause: z.enum(CAUSES).nullable(),
  reason: z.string(),
  devices: z.int(),
});
export type FailureRow = RowOf<typeof failureRow>;

/** Reasons of failures that are listed one by one. */
const REASONS = 20;

/** Devices by failure and reason, the most frequent first. The rest of the reasons is one row for each kind and cause of failure. */
export async function listFailures(sql: Sql, rolloutId: RolloutId): Promise<FailureRow[]> {
  return select(
    sql,
    failureRow,
    `WITH counted AS (
       SELECT CASE state WHEN 'late_rollback' THEN 'rolled_back' ELSE state END AS status, cause, reason,
         sum(updates)::integer AS devices
       FROM update_counts WHERE rollout_id = :rollout AND reason IS NOT NULL AND NOT is_reclaimable
       GROUP BY 1, cause, reason HAVING sum(updates) > 0
     ), ranked AS (
       SELECT *, row_number() OVER (ORDER BY devices DESC, reason, status, cause) <= ${REASONS} AS is_listed FROM counted
     )
     SELECT status, cause, coalesce(listed, format('other reasons (%s)', count(*))) AS reason,
       sum(devices)::integer AS devices
     FROM (SELECT *, CASE WHEN is_listed THEN reason END AS listed FROM ranked) AS named
     GROUP BY status, cause, listed ORDER BY listed IS NULL, devices DESC, reason`,
    { rollout: rolloutId },
  );
}

const funnel = z.strictObject({
  assigned: z.int(),
  sent: z.int(),
  answered: z.int(),
  installed: z.int(),
  booted: z.int(),
  succeeded: z.int(),
});
export type Funnel = RowOf<typeof funnel>;

/** How far the updates of a rollout to its release came, in any attempt. Stepping stones do not count. */
export async function readFunnel(sql: Sql, rolloutId: RolloutId): Promise<Funnel> {
  const [row] = await select(
    sql,
    funnel,
    `SELECT count(*)::integer AS assigned,
       (count(*) FILTER (WHERE sends > 0 OR started_at IS NOT NULL OR was_booted))::integer AS sent,
       (count(*) FILTER (WHERE started_at IS NOT NULL OR was_booted))::integer AS answered,
       (count(*) FILTER (WHERE installed_at IS NOT NULL OR was_booted))::integer AS installed,
       (count(*) FILTER (WHERE was_booted))::integer AS booted,
       (count(*) FILTER (WHERE state = 'success'))::integer AS succeeded
     FROM (
       SELECT sends, started_at, installed_at, booted_at IS NOT NULL OR status = 'success' AS was_booted,
         counted_state(status, completed_at, late_success_at, late_rollback_at) AS state
       FROM device_update_status
       WHERE rollout_id = :rollout AND NOT is_stepping_stone AND NOT is_reclaimable) AS u`,
    { rollout: rolloutId },
  );
  if (row === undefined) throw new Error('an aggregate has one row');
  return row;
}

const FAILED_BY_BUILD = `(state = 'late_rollback' OR state IN ${FAILED_LIST} AND cause IN ('build', 'silence'))`;

/**
 * Rollouts in which a release failed on a larger share of its devices than their threshold allows, as sentences, the
 * newest first. Only failures of the build count.
 */
export async function listFailuresOfRelease(sql: Sql, model: string, version: string): Promise<string[]> {
  const rows = await select(
    sql,
    z.strictObject({ name: z.string(), failed: z.int(), rolled_back: z.int().nullable(), ended: z.int() }),
    `SELECT r.name, c.failed, c.rolled_back, c.ended FROM rollout_configurations AS r
     CROSS JOIN LATERAL (
       SELECT (sum(updates) FILTER (WHERE ${FAILED_BY_BUILD}))::integer AS failed, sum(updates)::integer AS ended,
         (sum(updates) FILTER (WHERE state IN ('rolled_back', 'late_rollback')))::integer AS rolled_back
       FROM update_counts
       WHERE rollout_id = r.id AND firmware_version = :version AND (state = 'success' OR ${FAILED_BY_BUILD})) AS c
     WHERE r.device_model = :model AND c.failed > r.failure_threshold * c.ended ORDER BY r.id DESC`,
    { model, version },
  );
  return rows.map(({ name, failed, rolled_back: rolledBack, ended }) => {
    const what = rolledBack === failed ? 'rolled back' : 'failed';
    return `${version} ${what} on ${failed} of ${ended} ${ended === 1 ? 'device' : 'devices'} in rollout "${name}"`;
  });
}

/** Maximum steps of the series of outcomes. */
const STEPS = 200;

/** Outcomes of a rollout over time, in steps of equal length. */
export async function listOutcomes(
  sql: Sql,
  rolloutId: RolloutId,
): Promise<{ at: Date; succeeded: number; failed: number }[]> {
  return select(
    sql,
    z.strictObject({ at: z.date(), succeeded: z.int(), failed: z.int() }),
    `WITH outcomes AS (
       SELECT ended_at, is_success, updates FROM outcome_counts WHERE rollout_id = :rollout
     ), span AS (
       SELECT min(ended_at) AS first, greatest((max(ended_at) - min(ended_at)) / ${STEPS}, interval '10 seconds') AS step
       FROM outcomes
     )
     SELECT date_bin(step, ended_at, first) + step AS at,
       coalesce(sum(updates) FILTER (WHERE is_success), 0)::integer AS succeeded,
       coalesce(sum(updates) FILTER (WHERE NOT is_success), 0)::integer AS failed
     FROM outcomes, span GROUP BY at HAVING sum(updates) > 0 ORDER BY at`,
    { rollout: rolloutId },
  );
}

const deviceUpdateRow = z.strictObject({
  update_id: ID.update,
  device_id: ID.device,
  rollout_id: ID.rollout.nullable(),
  rollout_name: z.string().nullable(),
  firmware_version: z.string(),
  previous_version: z.string().nullable(),
  current_firmware_version: z.string(),
  status: z.enum(UPDATE_STATES),
  is_stepping_stone: z.boolean(),
  stage: z.int(),
  attempt: z.int(),
  progress_percent: z.int().nullable(),
  result_code: z.int().nullable(),
  reason: z.string().nullable(),
  created_at: z.date(),
  sent_at: z.date().nullable(),
  reported_at: z.date().nullable(),
  booted_at: z.date().nullable(),
  deadline_at: z.date().nullable(),
  completed_at: z.date().nullable(),
});
export type DeviceUpdateRow = RowOf<typeof deviceUpdateRow>;

/** Device updates of a rollout before an id, newest first. */
export async function listUpdates(
  sql: Sql,
  rolloutId: RolloutId,
  filter: { readonly status?: UpdateState | undefined; readonly open?: boolean | undefined },
  beforeId: number | null,
  limit: number,
): Promise<DeviceUpdateRow[]> {
  return select(
    sql,
    deviceUpdateRow,
    `SELECT update_id, device_id, rollout_id, rollout_name, firmware_version, previous_version, current_firmware_version,
       status, is_stepping_stone, stage, attempt, progress_percent, result_code, reason, created_at, sent_at, reported_at,
       booted_at, deadline_at, completed_at
     FROM update_overview
     WHERE rollout_id = :rollout AND NOT is_reclaimable AND (:before::bigint IS NULL OR update_id < :before::bigint)
       AND (:status::text IS NULL OR status = :status) AND (:open::boolean IS NULL OR :open = (completed_at IS NULL))
     ORDER BY update_id DESC LIMIT :limit`,
    { rollout: rolloutId, status: filter.status ?? null, open: filter.open ?? null, before: beforeId, limit },
  );
}

const decisionRow = z.strictObject({
  event_id: z.int(),
  rollout_id: ID.rollout,
  rollout_name: z.string(),
  firmware_version: z.string(),
  device_model: z.string(),
  at: z.date(),
  event: z.string(),
  reason: z.string().nullable(),
  decided_by: z.string().nullable(),
  detail: z.record(z.string(), z.unknown()),
});
export type DecisionRow = RowOf<typeof decisionRow>;

const DECISION = `SELECT event_id, rollout_id, rollout_name, firmware_version, device_model, at, event, reason, decided_by, detail
     FROM rollout_timeline`;

/** Maximum decisions to list; a slow start of a large fleet makes some dozens. */
const DECISIONS = 500;

/** The newest 500 decisions about a rollout, oldest first. */
export async function listRolloutDecisions(sql: Sql, rolloutId: RolloutId): Promise<DecisionRow[]> {
  const rows = await select(
    sql,
    decisionRow,
    `${DECISION} WHERE rollout_id = :rollout ORDER BY event_id DESC LIMIT ${DECISIONS}`,
    { rollout: rolloutId },
  );
  return rows.reverse();
}

/** Decisions about all rollouts, oldest first: those after an event, or the newest. */
export async function listDecisions(sql: Sql, after: number | undefined, limit: number): Promise<DecisionRow[]> {
  if (after !== undefined) {
    return select(sql, decisionRow, `${DECISION} WHERE event_id > :after ORDER BY event_id LIMIT :limit`, {
      after,
      limit,
    });
  }
  const rows = await select(sql, decisionRow, `${DECISION} ORDER BY event_id DESC LIMIT :limit`, { limit });
  return rows.reverse();
}
