import * as z from 'zod';
import { anyJson, type RowOf, readInPages, type Sql, select } from '../db/index.ts';
import { heldBy, IN_FORCE, SERVICE_HOLD } from '../holds/index.ts';
import { boundedFilter, boundedJson, COUNTED_STATES, limitPer, PLAN_BYTES, TARGET_TYPES } from '../policy/index.ts';
import { CAUSES } from '../protocol/index.ts';
import { ID, type RolloutId } from '../util/index.ts';
import { IS_APPROVED } from './approvals.ts';
import { MAY_RUN } from './rollout-conditions.ts';

const countedUpdates = z.strictObject({
  version: z.string(),
  stage: z.int(),
  state: z.enum(COUNTED_STATES),
  cause: z.enum(CAUSES).nullable(),
  updates: z.int(),
});

/** A number of updates that are alike. */
export type CountedUpdates = RowOf<typeof countedUpdates>;

export const rolloutRuntime = z.strictObject({
  id: ID.rollout,
  name: z.string(),
  firmware_version: z.string(),
  device_model: z.string(),
  target_type: z.enum(TARGET_TYPES),
  target_filter: anyJson<unknown>(),
  rollout_percentage: z.int(),
  allow_downgrade: z.boolean(),
  include_unknown: z.boolean(),
  /** Versions, as stored; null: not decided yet. */
  stepping_stones: anyJson<unknown>(),
  /** The newest release when the version and the stepping stones were chosen. */
  newest_release_id: ID.release,
  give_up_days: z.int(),
  probation_minutes: z.int(),
  target_hash_cutoff: z.string().nullable(),
  /** The percentage for which the target hash cutoff was fixed. */
  member_percentage: z.int().nullable(),
  /** When the targets were counted: devices that registered later take part with the probability of the percentage. */
  counted_at: z.date().nullable(),
  stages: anyJson<unknown>(),
  send_window: anyJson<unknown>(),
  max_in_flight_per: limitPer.nullable(),
  /** Names of which the first stage covers the values; the database checks their form. */
  first_stage_covers: z.array(z.string()).nullable(),
  start_at: z.date().nullable(),
  end_at: z.date().nullable(),
  /** The rollout that must complete before this one sends anything, until it has. */
  waits_for: z.strictObject({ name: z.string(), is_aborted: z.boolean() }).nullable(),
  failure_threshold: z.number(),
  failure_count: z.int().nullable(),
  max_restart_ratio: z.number().nullable(),
  min_reports: z.int(),
  jitter_minutes: z.int(),
  priority: z.int(),
  keep_open: z.boolean(),
  is_active: z.boolean(),
  paused_at: z.date().nullable(),
  paused_reason: z.string().nullable(),
  /** The identity of an operator, or of the orchestrator. */
  paused_by: z.string().nullable(),
  aborted_at: z.date().nullable(),
  completed_at: z.date().nullable(),
  /** Changes with every decision about the rollout. */
  updated_at: z.date(),
  /** Null while the release is not registered. */
  release_id: ID.release.nullable(),
  min_version: z.string().nullable(),
  /** Why the release was revoked; null if it was not. */
  revoked_reason: z.string().nullable(),
  /** Of the release. */
  signing_key: z.string().nullable(),
  signature_expires_at: z.date().nullable(),
  /** Name of an open rollout that sends its devices back; null: none does. */
  recovered_by: z.string().nullable(),
  is_approved: z.boolean(),
  /** Who requested what waits for the approval of a second person; null: nothing waits. */
  requested_by: z.string().nullable(),
  generation: z.int(),
  in_flight: z.int().nullable(),
  /** Null: no end. */
  sends_until: z.date().nullable(),
  started_count: z.int(),
  finished_count: z.int(),
  start_limit: z.int().nullable(),
  /** The current stage, counted from 0; also 0 before the first stage starts. */
  stage: z.int(),
  stage_hash_cutoff: z.string().nullable(),
  /** The hash cutoff of devices that registered after the targets were counted. */
  stage_later_cutoff: z.string().nullable(),
  /** True if the stage was given every target that was left. */
  stage_is_exhausted: z.boolean(),
  stage_size: z.int().nullable(),
  stage_sample: z.int().nullable(),
  stage_began_at: z.date().nullable(),
  gate_held_since: z.date().nullable(),
  /** True after a resumption: the stage is repeated with as many new devices. */
  stage_must_repeat: z.boolean(),
  stage_extended_at: z.date().nullable(),
  /** Updates of the present generation whose first command was sent. */
  started_updates: z.array(countedUpdates),
  /** Updates of devices that began, went quiet and are out of reach. They are among the pending ones, too. */
  silent_updates: z.array(countedUpdates.omit({ state: true, cause: true })),
  /** Those of the started updates whose devices had failed before. */
  failed_before_updates: z.array(countedUpdates),
  has_open: z.boolean(),
  is_under_way: z.boolean(),
  unexpected: z.strictObject({ version: z.string(), devices: z.int() }).nullable(),
  /**
   * State of the scan: its fingerprint, and the last device id scanned; the cursor is null when the scan is complete.
   */
  scan_fingerprint: z.string().nullable(),
  scan_cursor: z.string().nullable(),
  /** Changes of devices by this transaction or a later one have not been examined; `has_changes`: there are some. */
  changes_from_xid: z.string().nullable(),
  has_changes: z.boolean(),
  /** Transactions from this id on may not have been visible when the rollout was loaded. */
  horizon: z.string(),
  /** Hash of the state of all higher-priority rollouts. */
  higher_priority_digest: z.string(),
  /** Names the holds in force. */
  holds_digest: z.string(),
  /** Names the known issues of the model, and what each applies to; empty if there are none. */
  known_issues_digest: z.string(),
  /** The hold of the whole service; null if it is not held. */
  service_hold: heldBy.nullable(),
  /** When the service was last held. */
  service_held_until: z.date().nullable(),
});

/** An active rollout with the release it rolls out and the numbers that its gates read. */
export type RolloutRuntime = RowOf<typeof rolloutRuntime>;

/** What decides which devices a rollout `w` bars others from and keeps. */
const HIGHER_PRIORITY_STATE = `concat_ws(',', w.id, w.is_active, w.paused_at IS NULL, w.completed_at IS NULL, w.firmware_version,
          w.target_type, w.target_filter)`;

/**
 * True if a rollout `r` has an update `u` for which the condition holds. The range and the order match indexes on the
 * rollout: otherwise the planner expects to find such an update quickly anywhere in the table, and reads all of it for
 * a rollout that has none.
 */
const hasUpdate = (kind: string) => `coalesce((
         SELECT true FROM device_update_status AS u WHERE u.rollout_id >= r.id AND u.rollout_id <= r.id AND ${kind}
         ORDER BY u.rollout_id LIMIT 1), false)`;

/** Selects rollouts `r` as {@link RolloutRuntime}; a condition follows. */
const ROLLOUT = `SELECT r.id, r.name, r.firmware_version, r.device_model, r.target_type, ${boundedFilter('r')}, r.rollout_percentage,
       r.allow_downgrade, r.include_unknown,
       ${boundedJson('r.stepping_stones', PLAN_BYTES.steppingStones)} AS stepping_stones, r.newest_release_id, r.give_up_days, r.probation_minutes, r.target_hash_cutoff,
       r.member_percentage, r.counted_at, ${boundedJson('r.stages', PLAN_BYTES.stages)} AS stages,
       ${boundedJson('r.send_window', PLAN_BYTES.sendWindow)} AS send_window, r.max_in_flight_per, r.first_stage_covers, r.start_at, r.end_at,
       (SELECT jsonb_build_object('name', a.name, 'is_aborted', a.aborted_at IS NOT NULL) FROM rollout_configurations AS a
        WHERE a.id = r.after_rollout_id AND a.completed_at IS NULL) AS waits_for,
       r.failure_threshold, r.failure_count, r.max_restart_ratio, r.min_reports, r.jitter_minutes, r.priority, r.keep_open,
       r.is_active, r.paused_at, r.paused_reason, r.paused_by, r.aborted_at, r.completed_at, r.updated_at,
       f.id AS release_id, f.min_version, f.signing_key, f.signature_expires_at,
       CASE WHEN f.revoked_at IS NOT NULL THEN coalesce(f.revoked_reason, 'no reason given') END AS revoked_reason,
       (SELECT b.name FROM rollout_configurations AS b WHERE b.completed_at IS NULL AND b.aborted_at IS NULL
          AND b.target_filter @> jsonb_build_object('recovers', jsonb_build_object('rollout', r.id)) LIMIT 1) AS recovered_by,
       ${IS_APPROVED} AS is_approved, (SELECT requested_by FROM approval_requests WHERE rollout_id = r.id) AS requested_by,
       coalesce(p.generation, 0) AS generation, coalesce(p.started_count, 0) AS started_count,
       coalesce(p.finished_count, 0) AS finished_count, p.start_limit, coalesce(p.stage, 0) AS stage, p.in_flight,
       p.sends_until,
       s.hash_cutoff AS stage_hash_cutoff, s.later_cutoff AS stage_later_cutoff,
       coalesce(s.is_exhausted, false) AS stage_is_exhausted, coalesce(s.start_quota, s.target_count) AS stage_size, s.sample_count AS stage_sample,
       s.began_at AS stage_began_at, s.extended_at AS stage_extended_at, s.gate_held_since,
       coalesce(s.must_repeat, false) AS stage_must_repeat, t.started_updates,
       ${hasUpdate('u.completed_at IS NULL')} AS has_open,
       ${hasUpdate('u.completed_at IS NULL AND u.unreachable_since IS NULL')} AS is_under_way,
       q.silent_updates, b.failed_before_updates, x.unexpected,
       p.scan_fingerprint, p.scan_cursor, p.changes_from_xid::text,
       EXISTS (SELECT FROM device_changes WHERE changed_in >= p.changes_from_xid) AS has_changes,
       pg_snapshot_xmin(pg_current_snapshot())::text AS horizon,
       (SELECT md5(coalesce(string_agg(${HIGHER_PRIORITY_STATE}, ';' ORDER BY w.id), '')) FROM rollout_configurations AS w
        WHERE (w.priority, w.id) > (r.priority, r.id) AND w.aborted_at IS NULL) AS higher_priority_digest,
       (SELECT coalesce(string_agg(h.id::text, ',' ORDER BY h.id), '') FROM holds AS h WHERE ${IN_FORCE}) AS holds_digest,
       (SELECT coalesce(md5(string_agg(concat_ws(',', i.id, i.found_version, i.fixed_version, i.device_filter), ';' ORDER BY i.id)), '')
        FROM known_issues AS i WHERE i.device_model = r.device_model AND i.withdrawn_at IS NULL) AS known_issues_digest,
       ${SERVICE_HOLD} AS service_hold,
       (SELECT max(h.ended_at) FROM holds AS h WHERE h.scope = 'service' AND h.began_at IS NOT NULL) AS service_held_until
     FROM rollout_configurations AS r
     LEFT JOIN rollout_runtime AS p ON p.rollout_id = r.id
     LEFT JOIN firmware_releases AS f ON f.device_model = r.device_model AND f.version = r.firmware_version
     LEFT JOIN LATERAL (
       SELECT hash_cutoff, later_cutoff, is_exhausted, target_count, sample_count, start_quota, began_at, extended_at,
         must_repeat, gate_held_since
       FROM rollout_stages WHERE rollout_id = r.id AND stage = p.stage
     ) AS s ON true
     CROSS JOIN LATERAL (
       SELECT coalesce(jsonb_agg(jsonb_build_object('version', firmware_version, 'stage', stage, 'state', state,
           'cause', cause, 'updates', updates)), '[]') AS started_updates
       FROM (
         SELECT firmware_version, stage, state, cause, sum(updates) AS updates FROM update_counts
         WHERE rollout_id = r.id AND generation = p.generation AND is_started AND NOT is_reclaimable
         GROUP BY firmware_version, stage, state, cause HAVING sum(updates) <> 0) AS c
     ) AS t
     CROSS JOIN LATERAL (
       SELECT coalesce(jsonb_agg(jsonb_build_object('version', firmware_version, 'stage', stage, 'updates', updates)), '[]')
         AS silent_updates
       FROM (
         SELECT u.firmware_version, u.stage, count(*) AS updates FROM device_update_status AS u
         WHERE u.rollout_id = r.id AND u.completed_at IS NULL AND u.unreachable_since IS NOT NULL
           AND u.started_at IS NOT NULL AND u.generation = p.generation AND NOT u.failed_before
         GROUP BY u.firmware_version, u.stage) AS c
     ) AS q
     CROSS JOIN LATERAL (
       SELECT coalesce(jsonb_agg(jsonb_build_object('version', firmware_version, 'stage', stage, 'state', state,
           'cause', cause, 'updates', updates)), '[]') AS failed_before_updates
       FROM (
         SELECT u.firmware_version, u.stage, u.cause, count(*) AS updates,
           counted_state(u.status, u.completed_at, u.late_success_at, u.late_rollback_at) AS state
         FROM device_update_status AS u
         WHERE u.rollout_id = r.id AND u.failed_before AND u.counts_as_started AND u.generation = p.generation
           AND NOT u.is_reclaimable AND NOT u.is_replaced
         GROUP BY u.firmware_version, u.stage, state, u.cause) AS c
     ) AS b
     LEFT JOIN LATERAL (
       SELECT jsonb_build_object('version', unexpected_version, 'devices', count(*)) AS unexpected
       FROM device_update_status AS u
       WHERE u.rollout_id = r.id AND unexpected_version IS NOT NULL AND u.generation = p.generation
         AND u.firmware_version = r.firmware_version
       GROUP BY unexpected_version ORDER BY count(*) DESC, unexpected_version LIMIT 1
     ) AS x ON true`;

const IDS_PER_PAGE = 5_000;

/**
 * Ids of rollouts that may assign devices now, highest priority first and newest first among equals. Creates the
 * runtime row of rollouts that were inserted by SQL.
 */
export async function listActiveRolloutIds(sql: Sql): Promise<RolloutId[]> {
  await sql.query(
    `INSERT INTO rollout_runtime (rollout_id, target_version)
     SELECT id, firmware_version FROM rollout_configurations
     WHERE is_active AND completed_at IS NULL AND aborted_at IS NULL
     ON CONFLICT DO NOTHING`,
  );
  return listRunnableRolloutIds(sql);
}

/**
 * Ids of rollouts that may send, highest priority first and newest first among equals.
 * @param models only rollouts of these models
 */
export async function listRunnableRolloutIds(sql: Sql, models: readonly string[] | null = null): Promise<RolloutId[]> {
  const rows = await readInPages(
    (page) =>
      select(
        sql,
        z.strictObject({ id: ID.rollout }),
        `SELECT id FROM rollout_configurations AS r
     WHERE ${MAY_RUN} AND (:models::jsonb IS NULL OR :models::jsonb @> to_jsonb(r.device_model))
     ORDER BY priority DESC, id DESC LIMIT :limit OFFSET :offset`,
        { models, ...page },
      ),
    IDS_PER_PAGE,
  );
  return rows.map(({ id }) => id);
}

/** A rollout in any state; undefined if it does not exist. */
export async function loadRolloutRuntime(sql: Sql, id: RolloutId): Promise<RolloutRuntime | undefined> {
  const [row] = await select(sql, rolloutRuntime, `${ROLLOUT} WHERE r.id = :id`, { id });
  return row;
}

const VERSIONS_PER_PAGE = 500;
/** The versions are part of the parameters of each statement that assigns devices. */
export const MAX_VERSIONS_IN_USE = 10_000;

/**
 * The versions in use on a model, one more than {@link MAX_VERSIONS_IN_USE} at most. Jumps along the index from version to version, so that the cost depends on the number
 * of versions and not of devices.
 */
export async function listVersionsInUse(sql: Sql, deviceModel: string): Promise<string[]> {
  const versions: string[] = [];
  for (;;) {
    const page = await loadVersionsAfter(sql, deviceModel, versions.at(-1) ?? '');
    versions.push(...page);
    if (page.length < VERSIONS_PER_PAGE || versions.length > MAX_VERSIONS_IN_USE) {
      return versions.slice(0, MAX_VERSIONS_IN_USE + 1);
    }
  }
}

async function loadVersionsAfter(sql: Sql, deviceModel: string, after: string): Promise<string[]> {
  const rows = await select(
    sql,
    z.strictObject({ version: z.string() }),
    `WITH RECURSIVE in_use AS (
       (SELECT current_firmware_version AS version FROM devices
        WHERE device_model = :model AND current_firmware_version > :after
        ORDER BY current_firmware_version LIMIT 1)
       UNION ALL
       SELECT (SELECT current_firmware_version FROM devices
               WHERE device_model = :model AND current_firmware_version > in_use.version
               ORDER BY current_firmware_version LIMIT 1)
       FROM in_use WHERE in_use.version IS NOT NULL
     )
     SELECT version FROM in_use WHERE version IS NOT NULL LIMIT ${VERSIONS_PER_PAGE}`,
    { model: deviceModel, after },
  );
  return rows.map(({ version }) => version);
}

/** Sets until when a rollout may send: the end of the current opening of its send window; null: no end. */
export async function setSendsUntil(sql: Sql, rolloutId: RolloutId, until: Date | null): Promise<void> {
  await sql.query(
    `UPDATE rollout_runtime SET sends_until = :until::timestamptz
     WHERE rollout_id = :rollout AND sends_until IS DISTINCT FROM :until::timestamptz`,
    { rollout: rolloutId, until },
  );
}
