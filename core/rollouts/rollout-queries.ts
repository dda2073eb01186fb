import * as z from 'zod';
import { anyJson, type RowOf, type Sql, select } from '../db/index.ts';
import {
  APPROVABLE_ACTIONS,
  type ChangedLimits,
  type LimitPer,
  limitPer,
  ROLLOUT_STATES,
  type RolloutState,
  TARGET_TYPES,
  type TargetType,
} from '../policy/index.ts';
import { ID, type RolloutId } from '../util/index.ts';
import { CONTENT, IS_APPROVED } from './approvals.ts';

/** Every column of a rollout that its author chooses, by its name in the table. */
export interface RolloutValues {
  readonly name: string;
  readonly firmware_version: string;
  readonly device_model: string;
  readonly target_type: TargetType;
  readonly target_filter: object;
  readonly rollout_percentage: number;
  readonly is_active: boolean;
  readonly stages: object[] | null;
  readonly failure_threshold: number;
  readonly failure_count: number | null;
  readonly max_restart_ratio: number | null;
  readonly min_reports: number;
  readonly max_attempts: number;
  readonly attempt_timeout_minutes: number;
  readonly boot_timeout_minutes: number;
  readonly probation_minutes: number;
  readonly give_up_days: number;
  readonly max_in_flight: number | null;
  readonly max_in_flight_per: LimitPer | null;
  readonly first_stage_covers: string[] | null;
  readonly max_per_minute: number | null;
  readonly start_at: string | null;
  readonly after_rollout_id: number | null;
  readonly end_at: string | null;
  readonly send_window: object | null;
  readonly jitter_minutes: number;
  readonly priority: number;
  readonly keep_open: boolean;
  readonly allow_downgrade: boolean;
  readonly include_unknown: boolean;
  /** Null: not decided yet. */
  readonly stepping_stones: string[] | null;
}

/** The columns of a rollout that its author chooses; a JSON null in one of JSON is stored as no value. */
const AUTHORED_COLUMNS: Readonly<Record<keyof RolloutValues, 'value' | 'json'>> = {
  name: 'value',
  firmware_version: 'value',
  device_model: 'value',
  target_type: 'value',
  target_filter: 'value',
  rollout_percentage: 'value',
  is_active: 'value',
  stages: 'json',
  failure_threshold: 'value',
  failure_count: 'value',
  max_restart_ratio: 'value',
  min_reports: 'value',
  max_attempts: 'value',
  attempt_timeout_minutes: 'value',
  boot_timeout_minutes: 'value',
  probation_minutes: 'value',
  give_up_days: 'value',
  max_in_flight: 'value',
  max_in_flight_per: 'json',
  first_stage_covers: 'json',
  max_per_minute: 'value',
  start_at: 'value',
  after_rollout_id: 'value',
  end_at: 'value',
  send_window: 'json',
  jitter_minutes: 'value',
  priority: 'value',
  keep_open: 'value',
  allow_downgrade: 'value',
  include_unknown: 'value',
  stepping_stones: 'json',
};
const AUTHORED = Object.keys(AUTHORED_COLUMNS).join(', ');
const authoredOf = (alias: string) =>
  Object.entries(AUTHORED_COLUMNS)
    .map(([column, kind]) => (kind === 'json' ? `nullif(${alias}.${column}, 'null')` : `${alias}.${column}`))
    .join(', ');

const rolloutCounts = z.strictObject({
  devices: z.int(),
  pending: z.int(),
  in_progress: z.int(),
  succeeded: z.int(),
  failed: z.int(),
  canceled: z.int(),
});
export type RolloutCounts = RowOf<typeof rolloutCounts>;

const rolloutSummaryRow = z.strictObject({
  ...rolloutCounts.shape,
  rollout_id: ID.rollout,
  name: z.string(),
  firmware_version: z.string(),
  device_model: z.string(),
  state: z.enum(ROLLOUT_STATES),
  paused_reason: z.string().nullable(),
  paused_by: z.string().nullable(),
  created_at: z.date(),
  updated_at: z.date(),
  start_at: z.date().nullable(),
  after_rollout_id: ID.rollout.nullable(),
  end_at: z.date().nullable(),
  stage: z.int().nullable(),
  requested_action: z.enum(APPROVABLE_ACTIONS).nullable(),
});
export type RolloutSummaryRow = RowOf<typeof rolloutSummaryRow>;

const rolloutRow = z.strictObject({
  ...rolloutSummaryRow.shape,
  target_type: z.enum(TARGET_TYPES),
  target_filter: anyJson<object>(),
  rollout_percentage: z.int(),
  is_active: z.boolean(),
  stages: anyJson<object[]>().nullable(),
  failure_threshold: z.number(),
  failure_count: z.int().nullable(),
  max_restart_ratio: z.number().nullable(),
  min_reports: z.int(),
  max_attempts: z.int(),
  attempt_timeout_minutes: z.int(),
  boot_timeout_minutes: z.int(),
  probation_minutes: z.int(),
  give_up_days: z.int(),
  max_in_flight: z.int().nullable(),
  max_in_flight_per: limitPer.nullable(),
  first_stage_covers: z.array(z.string()).nullable(),
  max_per_minute: z.int().nullable(),
  send_window: anyJson<object>().nullable(),
  jitter_minutes: z.int(),
  priority: z.int(),
  keep_open: z.boolean(),
  allow_downgrade: z.boolean(),
  include_unknown: z.boolean(),
  stepping_stones: anyJson<string[]>().nullable(),
  paused_at: z.date().nullable(),
  created_by: z.string().nullable(),
  completed_at: z.date().nullable(),
  aborted_at: z.date().nullable(),
});
export type RolloutRow = RowOf<typeof rolloutRow>;

const COUNTS = 'o.devices, o.pending, o.in_progress, o.succeeded, o.failed, o.canceled';

/** Rollouts created before an id, newest first. */
export async function listRollouts(
  sql: Sql,
  filter: {
    readonly states?: readonly RolloutState[] | undefined;
    readonly model?: string | undefined;
    readonly name?: string | undefined;
    /** Of a release that they send, as their own or as a stepping stone. */
    readonly version?: string | undefined;
  },
  beforeId: number | null,
  limit: number,
): Promise<RolloutSummaryRow[]> {
  return select(
    sql,
    rolloutSummaryRow,
    `SELECT o.rollout_id, o.name, o.firmware_version, o.device_model, o.state, o.paused_reason, o.paused_by, o.created_at, o.updated_at,
       o.start_at, o.after_rollout_id, o.end_at, o.stage, o.requested_action, ${COUNTS}
     FROM rollout_overview AS o
     WHERE (:before::bigint IS NULL OR o.rollout_id < :before::bigint)
       AND (:states::jsonb IS NULL OR :states::jsonb @> to_jsonb(o.state)) AND (:model::text IS NULL OR o.device_model = :model)
       AND (:name::text IS NULL OR o.name = :name)
       AND (:version::text IS NULL OR o.firmware_version = :version OR o.rollout_id IN (
         SELECT r.id FROM rollout_configurations AS r WHERE r.stepping_stones @> to_jsonb(:version::text)))
     ORDER BY o.rollout_id DESC LIMIT :limit`,
    {
      states: filter.states ?? null,
      model: filter.model ?? null,
      name: filter.name ?? null,
      version: filter.version ?? null,
      before: beforeId,
      limit,
    },
  );
}

/** A rollout by its id (digits) or its name; undefined if it does not exist. */
export async function getRollout(sql: Sql, idOrName: string): Promise<RolloutRow | undefined> {
  const isId = /^\d{1,18}$/.test(idOrName);
  const [row] = await select(
    sql,
    rolloutRow,
    `SELECT r.id AS rollout_id, r.name, r.firmware_version, r.device_model, r.target_type, r.target_filter,
       r.rollout_percentage, r.is_active, r.stages, r.failure_threshold, r.failure_count, r.max_restart_ratio, r.min_reports, r.max_attempts,
       r.attempt_timeout_minutes, r.boot_timeout_minutes, r.probation_minutes, r.give_up_days, r.max_in_flight, r.max_in_flight_per, r.first_stage_covers,
       r.max_per_minute, r.start_at, r.after_rollout_id, r.end_at, r.send_window, r.jitter_minutes, r.priority, r.keep_open, r.allow_downgrade,
       r.include_unknown, r.stepping_stones, o.state, r.paused_reason, r.paused_by, r.paused_at, r.created_at, r.created_by, r.updated_at,
       r.completed_at, r.aborted_at, o.stage, o.requested_action, ${COUNTS}
     FROM rollout_configurations AS r JOIN rollout_overview AS o ON o.rollout_id = r.id
     WHERE CASE WHEN :is_id::boolean THEN r.id = :id::bigint ELSE r.name = :name END`,
    { is_id: isId, id: isId ? idOrName : '0', name: idOrName },
  );
  return row;
}

/**
 * Creates a rollout. One that is active from the beginning is approved as it is: the caller decides whether it may be.
 * @returns its id; undefined if the name is taken
 */
export async function insertRollout(
  sql: Sql,
  values: RolloutValues,
  by: string,
  now: Date,
): Promise<number | undefined> {
  const [row] = await select(
    sql,
    z.strictObject({ rollout_id: ID.rollout }),
    `WITH created AS (
       INSERT INTO rollout_configurations (${AUTHORED}, approved_content, created_at, updated_at, created_by)
       SELECT ${authoredOf('r')}, CASE WHEN is_active THEN ${CONTENT} END, :now::timestamptz, :now::timestamptz, :by
       FROM jsonb_populate_record(NULL::rollout_configurations, :values::jsonb) AS r
       ON CONFLICT ON CONSTRAINT rollout_configurations_name_key DO NOTHING
       RETURNING id, is_active
     ), event AS (
       INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
       SELECT id, 'rollout_created', :now::timestamptz,
         jsonb_strip_nulls(jsonb_build_object('by', :by::text, 'draft', CASE WHEN NOT is_active THEN true END)), md5(id || ' created')
       FROM created
     )
     SELECT id AS rollout_id FROM created`,
    { values, by, now },
  );
  return row?.rollout_id;
}

const namedRollout = z.strictObject({
  rollout_id: ID.rollout,
  allow_downgrade: z.boolean(),
  /** True if the rollout is running, or waits for approval, and none of its updates has ended. */
  is_awaited: z.boolean(),
});
export type NamedRollout = RowOf<typeof namedRollout>;

/** Rollouts for single devices with this name, or with this name and a number appended; newest first. */
export async function listNumberedRollouts(sql: Sql, name: string): Promise<NamedRollout[]> {
  return select(
    sql,
    namedRollout,
    `SELECT id AS rollout_id, allow_downgrade,
       (is_active OR EXISTS (SELECT FROM approval_requests AS q WHERE q.rollout_id = r.id)) AND paused_at IS NULL
         AND completed_at IS NULL AND aborted_at IS NULL AND NOT EXISTS (
         SELECT FROM device_update_status AS u WHERE u.rollout_id = r.id AND u.completed_at IS NOT NULL) AS is_awaited
     FROM rollout_configurations AS r
     WHERE target_type = 'specific' AND (r.name = :name OR starts_with(r.name, :name || ' ('))
     ORDER BY id DESC`,
    { name },
  );
}

/**
 * Replaces every column of a draft that its author chooses, unless it was changed since it was loaded, has been started,
 * or another rollout has the name.
 * @param unchangedSince its `updated_at` as it was loaded, to the millisecond
 * @returns false if nothing was changed
 */
export async function replaceDraft(
  sql: Sql,
  rolloutId: RolloutId,
  values: RolloutValues,
  unchangedSince: string,
  by: string,
  now: Date,
): Promise<boolean> {
  const rows = await select(
    sql,
    z.strictObject({ id: z.int() }),
    `WITH changed AS (
       -- Any other newest_release_id makes the trigger choose the newest release of now.
       UPDATE rollout_configurations AS r SET newest_release_id = -1, (${AUTHORED}, updated_at) = (SELECT ${authoredOf('n')},
         greatest(:now::timestamptz, r.updated_at + interval '1 millisecond')
         FROM jsonb_populate_record(NULL::rollout_configurations, :values::jsonb) AS n)
       WHERE r.id = :rollout AND NOT r.is_active AND r.paused_at IS NULL AND r.completed_at IS NULL AND r.aborted_at IS NULL
         AND date_trunc('milliseconds', r.updated_at) = :unchanged_since::timestamptz
         AND NOT EXISTS (SELECT FROM device_update_status AS u WHERE u.rollout_id = r.id)
         AND NOT EXISTS (SELECT FROM rollout_configurations AS o WHERE o.name = :name AND o.id <> r.id)
       RETURNING r.id
     )
     INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
     SELECT id, 'rollout_changed', :now::timestamptz, jsonb_build_object('by', :by::text, 'changes', :values::jsonb),
       md5(id || ' replaced ' || :unchanged_since)
     FROM changed
     ON CONFLICT DO NOTHING RETURNING id`,
    { rollout: rolloutId, name: values.name, values, unchanged_since: unchangedSince, by, now },
  );
  return rows.length > 0;
}

/** The columns of a running rollout that may be changed. */
export type RolloutChanges = ChangedLimits & { readonly is_active?: true | undefined };

/**
 * Changes a rollout that has not ended, unless it was changed since it was loaded.
 * @param unchangedSince its `updated_at` as it was loaded, to the millisecond
 * @param keepsApproval true if the changed content needs no approval of its own
 * @returns false if it was changed meanwhile or has ended
 */
export async function changeRollout(
  sql: Sql,
  rolloutId: RolloutId,
  changes: RolloutChanges,
  unchangedSince: string,
  by: string,
  now: Date,
  keepsApproval: boolean,
): Promise<boolean> {
  const rows = await sql.query(
    `WITH changed AS (
       UPDATE rollout_configurations AS r SET
         failure_threshold = n.failure_threshold, failure_count = n.failure_count, max_restart_ratio = n.max_restart_ratio, min_reports = n.min_reports,
         max_in_flight = n.max_in_flight, max_in_flight_per = nullif(n.max_in_flight_per, 'null'), max_per_minute = n.max_per_minute,
         send_window = nullif(n.send_window, 'null'), keep_open = n.keep_open, is_active = n.is_active,
         approved_content = CASE
           WHEN n.is_active AND NOT r.is_active THEN (SELECT ${CONTENT} FROM (SELECT n.*) AS r)
           WHEN :keeps_approval::boolean AND ${IS_APPROVED} THEN r.approved_content || (:changes::jsonb - 'is_active')
           ELSE r.approved_content END,
         updated_at = greatest(:now::timestamptz, r.updated_at + interval '1 millisecond')
       FROM rollout_configurations AS before
       CROSS JOIN LATERAL jsonb_populate_record(before, :changes::jsonb) AS n
       WHERE r.id = :rollout AND before.id = r.id AND r.completed_at IS NULL AND r.aborted_at IS NULL
         AND date_trunc('milliseconds', r.updated_at) = :unchanged_since::timestamptz
       RETURNING r.id
     )
     INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
     SELECT id, 'rollout_changed', :now::timestamptz, jsonb_build_object('by', :by::text, 'changes', :changes::jsonb),
       md5(id || ' changed ' || :unchanged_since)
     FROM changed
     ON CONFLICT DO NOTHING RETURNING id`,
    { rollout: rolloutId, changes, unchanged_since: unchangedSince, by, now, keeps_approval: keepsApproval },
  );
  return rows.length > 0;
}
