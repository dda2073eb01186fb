import type { Sql } from '../db/index.ts';
import type { Gates, RolloutNumbers, StageCounts } from '../policy/index.ts';
import {
  boundedFilter,
  boundedJson,
  isSameVersion,
  PLAN_BYTES,
  parseTarget,
  type TargetType,
} from '../policy/index.ts';
import { type HigherPriorityRollout, toHigherPriorityRollout } from '../targeting/index.ts';

/** A rollout with its release and the numbers that its gates evaluate; also loaded for rollouts that have ended. */
export interface RolloutRuntime {
  readonly id: number;
  readonly name: string;
  readonly firmware_version: string;
  readonly device_model: string;
  readonly target_type: TargetType;
  readonly target_filter: unknown;
  readonly rollout_percentage: number;
  readonly allow_downgrade: boolean;
  readonly include_unknown: boolean;
  readonly give_up_days: number;
  readonly probation_minutes: number;
  readonly target_hash_cutoff: string | null;
  /** The percentage for which the target hash cutoff was fixed. */
  readonly member_percentage: number | null;
  readonly stages: unknown;
  readonly send_window: unknown;
  readonly start_at: Date | null;
  readonly failure_threshold: number;
  readonly failure_count: number | null;
  readonly min_reports: number;
  readonly jitter_minutes: number;
  readonly priority: number;
  readonly keep_open: boolean;
  readonly is_active: boolean;
  readonly paused_at: Date | null;
  readonly paused_reason: string | null;
  /** The identity of an operator, or of the orchestrator. */
  readonly paused_by: string | null;
  readonly aborted_at: Date | null;
  readonly completed_at: Date | null;
  /** Changes with every decision about the rollout. */
  readonly updated_at: Date;
  /** Null while the release is not registered. */
  readonly release_id: number | null;
  readonly min_version: string | null;
  /** Why the release was revoked; null if it was not. */
  readonly revoked_reason: string | null;
  readonly generation: number;
  readonly in_flight: number | null;
  /** Null: no end. */
  readonly sends_until: Date | null;
  readonly started_count: number;
  readonly finished_count: number;
  readonly start_limit: number | null;
  /** The current stage, counted from 0; also 0 before the first stage starts. */
  readonly stage: number;
  readonly stage_hash_cutoff: string | null;
  readonly stage_size: number | null;
  readonly stage_began_at: Date | null;
  readonly gate_held_since: Date | null;
  readonly stage_counts: StageCounts | null;
  /** Counts of all stages since the rollout started or was resumed. */
  readonly total_counts: StageCounts;
  /** Devices that started, went silent and are out of reach: in the current stage, and in all stages. */
  readonly stage_silent: number;
  readonly silent: number;
  readonly has_open: boolean;
  readonly is_under_way: boolean;
  readonly unexpected: { readonly version: string; readonly devices: number } | null;
  /**
   * State of the scan: its fingerprint, and the last device id scanned; the cursor is null when the scan is complete.
   */
  readonly scan_fingerprint: string | null;
  readonly scan_cursor: string | null;
  /** Changes of devices by this transaction or a later one have not been examined; `has_changes`: there are some. */
  readonly changes_from_xid: string | null;
  readonly has_changes: boolean;
  /** Transactions from this id on may not have been visible when the rollout was loaded. */
  readonly horizon: string;
  /** Hash of the state of all higher-priority rollouts. */
  readonly higher_priority_digest: string;
}

/** The columns of a stage as {@link StageCounts}. */
const STAGE_COUNTS = `jsonb_build_object('assigned', assigned, 'succeeded', succeeded, 'failed', failed,
           'failurePoints', failure_points, 'canceled', canceled)`;

/** When the gates of the rollout of an update `u` were last reset: updates that ended earlier do not count. */
export const GATES_SINCE = `coalesce((SELECT max(e.received_at) FROM ota_events AS e
         WHERE e.rollout_id = u.rollout_id AND e.device_id IS NULL
           AND e.event_type IN ('rollout_resumed', 'rollout_retried')), '-infinity')`;

/** The columns of a rollout `w` that decide which devices it blocks or keeps from other rollouts. */
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
       r.allow_downgrade, r.include_unknown, r.give_up_days, r.probation_minutes, r.target_hash_cutoff,
       r.member_percentage, ${boundedJson('r.stages', PLAN_BYTES.stages)} AS stages,
       ${boundedJson('r.send_window', PLAN_BYTES.sendWindow)} AS send_window, r.start_at,
       r.failure_threshold, r.failure_count, r.min_reports, r.jitter_minutes, r.priority, r.keep_open,
       r.is_active, r.paused_at, r.paused_reason, r.paused_by, r.aborted_at, r.completed_at, r.updated_at,
       f.id AS release_id, f.min_version, f.revoked_reason, coalesce(p.generation, 0) AS generation, coalesce(p.started_count, 0) AS started_count,
       coalesce(p.finished_count, 0) AS finished_count, p.start_limit, coalesce(p.stage, 0) AS stage, p.in_flight,
       p.sends_until,
       s.hash_cutoff AS stage_hash_cutoff, coalesce(s.start_quota, s.target_count) AS stage_size,
       s.began_at AS stage_began_at, s.gate_held_since, s.counts AS stage_counts,
       t.counts AS total_counts,
       ${hasUpdate('u.completed_at IS NULL')} AS has_open,
       ${hasUpdate('u.completed_at IS NULL AND u.unreachable_since IS NULL')} AS is_under_way,
       q.silent, q.stage_silent, x.unexpected,
       p.scan_fingerprint, p.scan_cursor, p.changes_from_xid::text,
       EXISTS (SELECT FROM device_changes WHERE changed_in >= p.changes_from_xid) AS has_changes,
       pg_snapshot_xmin(pg_current_snapshot())::text AS horizon,
       (SELECT md5(coalesce(string_agg(${HIGHER_PRIORITY_STATE}, ';' ORDER BY w.id), '')) FROM rollout_configurations AS w
        WHERE (w.priority, w.id) > (r.priority, r.id) AND w.aborted_at IS NULL) AS higher_priority_digest
     FROM rollout_configurations AS r
     LEFT JOIN rollout_runtime AS p ON p.rollout_id = r.id
     LEFT JOIN firmware_releases AS f ON f.device_model = r.device_model AND f.version = r.firmware_version
     LEFT JOIN LATERAL (
       SELECT hash_cutoff, target_count, start_quota, began_at, gate_held_since, ${STAGE_COUNTS} AS counts FROM rollout_stages
       WHERE rollout_id = r.id AND stage = p.stage
     ) AS s ON true
     CROSS JOIN LATERAL (
       SELECT ${STAGE_COUNTS} AS counts FROM (
         SELECT coalesce(sum(assigned), 0) AS assigned, coalesce(sum(succeeded), 0) AS succeeded,
           coalesce(sum(failed), 0) AS failed, coalesce(sum(failure_points), 0) AS failure_points,
           coalesce(sum(canceled), 0) AS canceled
         FROM rollout_stages WHERE rollout_id = r.id) AS sums
     ) AS t
     CROSS JOIN LATERAL (
       SELECT count(*)::integer AS silent, (count(*) FILTER (WHERE u.stage = p.stage))::integer AS stage_silent
       FROM device_update_status AS u
       WHERE u.rollout_id = r.id AND u.completed_at IS NULL AND u.unreachable_since IS NOT NULL AND u.started_at IS NOT NULL
     ) AS q
     LEFT JOIN LATERAL (
       SELECT jsonb_build_object('version', unexpected_version, 'devices', count(*)) AS unexpected
       FROM device_update_status AS u
       WHERE u.rollout_id = r.id AND unexpected_version IS NOT NULL AND u.completed_at > ${GATES_SINCE}
       GROUP BY unexpected_version ORDER BY count(*) DESC, unexpected_version LIMIT 1
     ) AS x ON true`;

/**
 * Ids of rollouts that may assign devices now, highest priority first and newest first among equals. Creates the
 * runtime row of rollouts that were inserted by SQL.
 */
export async function listActiveRolloutIds(sql: Sql): Promise<number[]> {
  await sql.query(
    `INSERT INTO rollout_runtime (rollout_id)
     SELECT id FROM rollout_configurations WHERE is_active AND completed_at IS NULL
     ON CONFLICT DO NOTHING`,
  );
  const rows = await sql.query<{ id: number }>(
    `SELECT id FROM rollout_configurations WHERE is_active AND completed_at IS NULL AND paused_at IS NULL
     ORDER BY priority DESC, id DESC LIMIT 500`,
  );
  return rows.map(({ id }) => id);
}

/** A rollout in any state; undefined if it does not exist. */
export async function loadRolloutRuntime(sql: Sql, id: number): Promise<RolloutRuntime | undefined> {
  const [row] = await sql.query<RolloutRuntime>(`${ROLLOUT} WHERE r.id = :id`, { id });
  return row;
}

/**
 * The versions in use on a model. Jumps along the index from version to version, so that the cost depends on the number
 * of versions and not of devices.
 */
export async function listVersionsInUse(sql: Sql, deviceModel: string): Promise<string[]> {
  const rows = await sql.query<{ version: string }>(
    `WITH RECURSIVE in_use AS (
       (SELECT current_firmware_version AS version FROM devices WHERE device_model = :model
        ORDER BY current_firmware_version LIMIT 1)
       UNION ALL
       SELECT (SELECT current_firmware_version FROM devices
               WHERE device_model = :model AND current_firmware_version > in_use.version
               ORDER BY current_firmware_version LIMIT 1)
       FROM in_use WHERE in_use.version IS NOT NULL
     )
     SELECT version FROM in_use WHERE version IS NOT NULL LIMIT 500`,
    { model: deviceModel },
  );
  return rows.map(({ version }) => version);
}

/** Sets until when a rollout may send: the end of the current opening of its send window; null: no end. */
export async function setSendsUntil(sql: Sql, rolloutId: number, until: Date | null): Promise<void> {
  await sql.query(
    `UPDATE rollout_runtime SET sends_until = :until::timestamptz
     WHERE rollout_id = :rollout AND sends_until IS DISTINCT FROM :until::timestamptz`,
    { rollout: rolloutId, until },
  );
}

const HIGHER_PRIORITY_FILTER = boundedFilter('w');

/**
 * The higher-priority rollouts that keep devices from the given one: those that are running, and newer ones that are
 * completed. Only devices on their target version are kept; a rollout whose version no device uses is left out.
 */
export async function loadHigherPriorityRollouts(
  sql: Sql,
  rollout: RolloutRuntime,
  versionsInUse: readonly string[],
): Promise<HigherPriorityRollout[]> {
  const rows = await sql.query<
    Pick<RolloutRuntime, 'id' | 'firmware_version' | 'target_type' | 'target_filter' | 'rollout_percentage'> & {
      readonly target_hash_cutoff: string;
    }
  >(
    `SELECT w.id, w.firmware_version, w.target_hash_cutoff, w.target_type, ${HIGHER_PRIORITY_FILTER},
       w.rollout_percentage
     FROM rollout_configurations AS w
     WHERE w.device_model = :model AND (w.priority, w.id) > (:priority::integer, :rollout::bigint)
       AND w.target_hash_cutoff IS NOT NULL AND w.is_active AND w.paused_at IS NULL
       AND (w.completed_at IS NULL OR w.id > :rollout::bigint)
       AND w.firmware_version IN (SELECT jsonb_array_elements_text(:versions::jsonb))
     ORDER BY w.id DESC LIMIT 15`,
    {
      model: rollout.device_model,
      priority: rollout.priority,
      rollout: rollout.id,
      versions: versionsInUse.flatMap((version) => [version, `v${version}`, version.replace(/^v/i, '')]),
    },
  );
  return rows.flatMap((other) => {
    const target = parseTarget(other.target_type, other.target_filter, other.rollout_percentage);
    const onTarget = versionsInUse.filter((version) => isSameVersion(version, other.firmware_version));
    return target.ok ? toHigherPriorityRollout(other.id, other.target_hash_cutoff, onTarget, target.target) : [];
  });
}

const NO_COUNTS: StageCounts = { assigned: 0, succeeded: 0, failed: 0, failurePoints: 0, canceled: 0 };

/**
 * The numbers of a rollout for its policy.
 * @param assigned devices assigned since the rollout was loaded
 * @returns counts in which a silent device is a failure
 */
export function numbersOf(rollout: RolloutRuntime, assigned: number): RolloutNumbers {
  const withSilent = (counts: StageCounts, silent: number): StageCounts => ({
    ...counts,
    assigned: counts.assigned + assigned,
    failed: counts.failed + silent,
    failurePoints: counts.failurePoints + silent,
  });
  return {
    stage: rollout.stage,
    reachesAll: (rollout.stage_hash_cutoff ?? '') >= (rollout.target_hash_cutoff ?? ''),
    size: rollout.stage_size ?? 1,
    gateHeldSince: rollout.gate_held_since,
    ofStage: withSilent(rollout.stage_counts ?? NO_COUNTS, rollout.stage_silent),
    total: withSilent(rollout.total_counts, rollout.silent),
    isUnderWay: rollout.is_under_way || assigned > 0,
    startedCount: rollout.started_count,
    finishedCount: rollout.finished_count + rollout.silent,
    startLimit: rollout.stage_hash_cutoff === null ? null : rollout.start_limit,
    unexpected: rollout.unexpected,
  };
}

export const gatesOf = ({ failure_threshold, failure_count, min_reports }: RolloutRuntime): Gates => ({
  failureThreshold: failure_threshold,
  failureCount: failure_count,
  minReports: min_reports,
});
