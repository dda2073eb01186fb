import type { Sql } from './database.ts';
import type { Reach } from './rollout-plan.ts';
import type { Tally } from './rollout-policy.ts';
import type { Target, TargetType } from './target-filter.ts';

/** An active rollout with the release it rolls out and the numbers that its gates read. */
export interface ActiveRollout {
  readonly id: number;
  readonly name: string;
  readonly firmware_version: string;
  readonly device_model: string;
  readonly target_type: TargetType;
  readonly target_filter: unknown;
  readonly rollout_percentage: number;
  readonly allow_downgrade: boolean;
  readonly include_unknown: boolean;
  readonly claim_deadline_days: number;
  readonly survival_minutes: number;
  readonly member_threshold: string | null;
  readonly stages: unknown;
  readonly send_window: unknown;
  readonly start_at: Date | null;
  readonly failure_threshold: number;
  readonly failure_count: number | null;
  readonly min_reports: number;
  readonly jitter_minutes: number;
  readonly weight: number;
  readonly keep_open: boolean;
  /** Null while that release is not registered. */
  readonly release_id: number | null;
  readonly min_version: string | null;
  readonly generation: number;
  readonly starts: number;
  readonly ended_starts: number;
  readonly allowed_starts: number | null;
  /** Of the present stage; null before the first. */
  readonly stage: number;
  readonly stage_threshold: string | null;
  readonly stage_size: number | null;
  readonly stage_began_at: Date | null;
  readonly gate_held_since: Date | null;
  readonly stage_tally: Tally | null;
  /** Of all stages since the rollout began or was resumed. */
  readonly total_tally: Tally;
  /** Devices that began, went quiet and are out of reach: in the present stage, and in all. */
  readonly stage_silent: number;
  readonly silent: number;
  readonly has_open: boolean;
  readonly is_under_way: boolean;
  readonly unexpected: { readonly version: string; readonly devices: number } | null;
}

/** The columns of a stage as a {@link Tally}. */
const TALLY = `jsonb_build_object('claimed', claimed, 'succeeded', succeeded, 'failed', failed,
           'failurePoints', failure_points, 'canceled', canceled)`;

/**
 * Rollouts that may claim devices now: the heaviest first, of equals the newest, which is the order in which they win a
 * device. A rollout row made by plain SQL gets its pace row here.
 */
export async function readActiveRollouts(sql: Sql): Promise<ActiveRollout[]> {
  await sql.query(
    `INSERT INTO rollout_pace (rollout_id)
     SELECT id FROM rollout_configurations WHERE is_active AND completed_at IS NULL
     ON CONFLICT DO NOTHING`,
  );
  return sql.query(
    `SELECT r.id, r.name, r.firmware_version, r.device_model, r.target_type, r.target_filter, r.rollout_percentage,
       r.allow_downgrade, r.include_unknown, r.claim_deadline_days, r.survival_minutes, r.member_threshold, r.stages,
       r.send_window, r.start_at,
       r.failure_threshold, r.failure_count, r.min_reports, r.jitter_minutes, r.weight, r.keep_open,
       f.id AS release_id, f.min_version, p.generation, p.starts, p.ended_starts, p.allowed_starts, p.stage,
       s.threshold AS stage_threshold, s.size AS stage_size,
       s.began_at AS stage_began_at, s.gate_held_since, s.tally AS stage_tally,
       t.tally AS total_tally,
       EXISTS (SELECT FROM device_update_status AS u WHERE u.rollout_id = r.id AND u.closed_at IS NULL) AS has_open,
       EXISTS (SELECT FROM device_update_status AS u
         WHERE u.rollout_id = r.id AND u.closed_at IS NULL AND u.unreachable_since IS NULL) AS is_under_way,
       q.silent, q.stage_silent, x.unexpected
     FROM rollout_configurations AS r
     JOIN rollout_pace AS p ON p.rollout_id = r.id
     LEFT JOIN firmware_releases AS f ON f.device_model = r.device_model AND f.version = r.firmware_version
     LEFT JOIN LATERAL (
       SELECT threshold, size, began_at, gate_held_since, ${TALLY} AS tally FROM rollout_stages
       WHERE rollout_id = r.id AND stage = p.stage
     ) AS s ON true
     CROSS JOIN LATERAL (
       SELECT ${TALLY} AS tally FROM (
         SELECT coalesce(sum(claimed), 0) AS claimed, coalesce(sum(succeeded), 0) AS succeeded,
           coalesce(sum(failed), 0) AS failed, coalesce(sum(failure_points), 0) AS failure_points,
           coalesce(sum(canceled), 0) AS canceled
         FROM rollout_stages WHERE rollout_id = r.id) AS sums
     ) AS t
     CROSS JOIN LATERAL (
       SELECT count(*)::integer AS silent, (count(*) FILTER (WHERE u.stage = p.stage))::integer AS stage_silent
       FROM device_update_status AS u
       WHERE u.rollout_id = r.id AND u.closed_at IS NULL AND u.unreachable_since IS NOT NULL AND u.started_at IS NOT NULL
     ) AS q
     LEFT JOIN LATERAL (
       SELECT jsonb_build_object('version', unexpected_version, 'devices', count(*)) AS unexpected
       FROM device_update_status
       WHERE rollout_id = r.id AND unexpected_version IS NOT NULL AND NOT is_reclaimable
       GROUP BY unexpected_version ORDER BY count(*) DESC, unexpected_version LIMIT 1
     ) AS x ON true
     WHERE r.is_active AND r.completed_at IS NULL AND r.paused_at IS NULL
     ORDER BY r.weight DESC, r.id DESC LIMIT 200`,
  );
}

/** The versions in use on a model: a walk from value to value along the index, in steps of one version, not of one device. */
export async function readVersionsInUse(sql: Sql, deviceModel: string): Promise<string[]> {
  const rows = await sql.query<{ version: string }>(
    `WITH RECURSIVE walk AS (
       (SELECT current_firmware_version AS version FROM devices WHERE device_model = :model
        ORDER BY current_firmware_version LIMIT 1)
       UNION ALL
       SELECT (SELECT current_firmware_version FROM devices
               WHERE device_model = :model AND current_firmware_version > walk.version
               ORDER BY current_firmware_version LIMIT 1)
       FROM walk WHERE walk.version IS NOT NULL
     )
     SELECT version FROM walk WHERE version IS NOT NULL LIMIT 500`,
    { model: deviceModel },
  );
  return rows.map(({ version }) => version);
}

/** Which devices the filter means, as a condition on `d` (a row of devices) over the parameters of {@link targetValues}. */
const TARGET_CONDITION = `
  d.device_model = :model
  AND (:devices::jsonb IS NULL AND :macs::jsonb IS NULL
    OR d.device_id IN (SELECT jsonb_array_elements_text(:devices::jsonb))
    OR d.mac_address IN (SELECT jsonb_array_elements_text(:macs::jsonb)))
  AND (:groups::jsonb IS NULL OR EXISTS (
    SELECT FROM device_groups AS g WHERE g.device_id = d.device_id
      AND g.group_name IN (SELECT jsonb_array_elements_text(:groups::jsonb))))
  AND (:models::jsonb IS NULL OR :models::jsonb ? d.device_model)
  AND (:versions::jsonb IS NULL OR :versions::jsonb ? d.current_firmware_version)
  AND d.metadata @> :metadata::jsonb`;

const targetValues = (model: string, target: Target) => ({
  model,
  devices: target.deviceIds,
  macs: target.macAddresses,
  groups: target.groups,
  models: target.models,
  versions: target.versions,
  metadata: target.metadata,
});

/**
 * Fixes which share of the members takes part: in the order of md5(rollout_id:device_id), the first
 * ceil(percentage × members). Stored once, so that the set is stable; devices that join later fall in or out by their hash.
 * @returns the threshold, or null while there is no member yet
 */
export async function fixMemberThreshold(sql: Sql, rollout: ActiveRollout, target: Target): Promise<string | null> {
  const [row] = await sql.query<{ member_threshold: string | null }>(
    `WITH members AS (
       SELECT md5(:rollout::bigint || ':' || d.device_id) AS hash FROM devices AS d WHERE ${TARGET_CONDITION}
     ), threshold AS (
       SELECT CASE WHEN :percentage = 100 THEN repeat('f', 32) ELSE (
         SELECT hash FROM members ORDER BY hash
         OFFSET (SELECT greatest(ceil(:percentage * count(*) / 100.0), 1)::bigint - 1 FROM members) LIMIT 1) END AS hash
       WHERE :percentage > 0 AND EXISTS (SELECT FROM members)
     )
     UPDATE rollout_configurations AS r SET member_threshold = threshold.hash
     FROM threshold WHERE r.id = :rollout AND r.member_threshold IS NULL
     RETURNING r.member_threshold`,
    { rollout: rollout.id, percentage: rollout.rollout_percentage, ...targetValues(rollout.device_model, target) },
  );
  return row?.member_threshold ?? null;
}

/** How a stage begins: whom it reaches, or of a slow start how many devices may begin in its window. */
export type StageBeginning = { readonly reach: Reach } | { readonly windowOf: number | null };

/** A slow start begins with this share of the members. */
const FIRST_WINDOW_SHARE = 0.01;

/**
 * Begins a stage: fixes whom it reaches, exactly and for good (in the order of their hashes the first ceil(share ×
 * members), at least one; later joiners fall in or out by their hash), and lets them be claimed. A window without a
 * size is the first of a slow start. Nothing happens where the stage has begun already.
 * @returns the threshold and size now in force; undefined when the rollout moved on meanwhile
 */
export async function beginStage(
  sql: Sql,
  rollout: Pick<ActiveRollout, 'id' | 'device_model' | 'generation'> & { readonly member_threshold: string },
  target: Target,
  stage: number,
  beginning: StageBeginning,
  now: Date,
): Promise<{ threshold: string; size: number } | undefined> {
  const isSlowStart = 'windowOf' in beginning;
  const reach = isSlowStart ? { share: FIRST_WINDOW_SHARE } : beginning.reach;
  const [row] = await sql.query<{ threshold: string; size: number }>(
    `WITH fence AS (
       SELECT rollout_id, allowed_starts FROM rollout_pace
       WHERE rollout_id = :rollout AND generation = :generation AND NOT halted FOR UPDATE
     ), members AS (
       SELECT md5(:rollout::bigint || ':' || d.device_id) AS hash FROM devices AS d
       WHERE ${TARGET_CONDITION} AND md5(:rollout::bigint || ':' || d.device_id) <= :members_up_to
     ), counted AS (
       SELECT count(*)::integer AS members FROM members
     ), reached AS (
       SELECT members, coalesce(:window::integer,
         least(members, greatest(1, coalesce(:count::integer, ceil(:share::double precision * members)::integer)))) AS size
       FROM counted
     ), begun AS (
       INSERT INTO rollout_stages (rollout_id, stage, threshold, size, began_at)
       SELECT fence.rollout_id, :stage,
         CASE WHEN :slow::boolean OR size >= members THEN :members_up_to
           ELSE greatest((SELECT hash FROM members ORDER BY hash OFFSET greatest(size, 1) - 1 LIMIT 1),
             (SELECT max(threshold) FROM rollout_stages WHERE rollout_id = :rollout)) END,
         greatest(size, 1), :now::timestamptz
       FROM fence, reached
       ON CONFLICT DO NOTHING
       RETURNING rollout_id, stage, threshold, size
     ), before AS (
       UPDATE rollout_stages SET ended_at = :now::timestamptz
       WHERE rollout_id = (SELECT rollout_id FROM begun) AND stage = :stage::integer - 1
     ), pace AS (
       UPDATE rollout_pace AS p SET stage = begun.stage,
         allowed_starts = CASE WHEN :slow::boolean THEN p.starts + begun.size END
       FROM begun WHERE p.rollout_id = begun.rollout_id
     ), event AS (
       INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
       SELECT rollout_id, CASE WHEN stage = 0 THEN 'rollout_started' ELSE 'rollout_stage_began' END, :now::timestamptz,
         jsonb_build_object('stage', stage, 'devices', begun.size, 'members', members),
         md5(rollout_id || ' stage ' || stage || ' ' || :generation)
       FROM begun, reached
       ON CONFLICT DO NOTHING
     )
     SELECT threshold, size FROM begun`,
    {
      rollout: rollout.id,
      generation: rollout.generation,
      members_up_to: rollout.member_threshold,
      stage,
      slow: isSlowStart,
      window: isSlowStart ? beginning.windowOf : null,
      share: 'share' in reach ? reach.share : null,
      count: 'count' in reach ? reach.count : null,
      now,
      ...targetValues(rollout.device_model, target),
    },
  );
  return row;
}

/** What is claimed for: the rollout's own release, or one that leads to it. */
export interface ClaimedRelease {
  readonly releaseId: number;
  readonly version: string;
  readonly isSteppingStone: boolean;
  /** The current versions from which devices go to it. */
  readonly fromVersions: readonly string[];
}

/**
 * Devices `d` that the rollout may claim, over the parameters of {@link claimValues}: members by filter and hash, on a
 * version that may be updated, that this rollout has not claimed before and no rollout that wins over it has served.
 */
const CLAIMABLE = `${TARGET_CONDITION}
         AND d.current_firmware_version IN (SELECT jsonb_array_elements_text(:eligible::jsonb))
         AND md5(:rollout::bigint || ':' || d.device_id) <= :threshold
         AND NOT EXISTS (SELECT FROM device_update_status AS u WHERE u.rollout_id = :rollout AND u.device_id = d.device_id
           AND u.firmware_version = :version AND NOT u.is_reclaimable)
         AND NOT EXISTS (SELECT FROM device_update_status AS u JOIN rollout_configurations AS w ON w.id = u.rollout_id
           WHERE u.device_id = d.device_id AND u.status <> 'canceled' AND (w.weight, w.id) > (:weight::integer, :rollout::bigint))`;

const claimValues = (rollout: ActiveRollout, target: Target, release: ClaimedRelease) => ({
  rollout: rollout.id,
  weight: rollout.weight,
  threshold: rollout.stage_threshold,
  version: release.version,
  eligible: release.fromVersions,
  ...targetValues(rollout.device_model, target),
});

/**
 * Claims devices for a rollout: each becomes owed a command. What an older or lighter rollout has claimed and not yet
 * sent is taken over. A device has one open update, which is a constraint, so that two claimers at once cannot claim a
 * device twice; a rollout that was halted or resumed since it was read claims nothing.
 * @returns how many were claimed
 */
export async function claimDevices(
  sql: Sql,
  rollout: ActiveRollout,
  target: Target,
  release: ClaimedRelease,
  limit: number,
  now: Date,
): Promise<number> {
  if (release.fromVersions.length === 0) return 0;
  await takeOverClaims(sql, rollout, target, release, limit, now);
  const [row] = await sql.query<{ claimed: number }>(
    `WITH fence AS (
       SELECT stage FROM rollout_pace WHERE rollout_id = :rollout AND generation = :generation AND NOT halted FOR SHARE
     ), claimed AS (
       INSERT INTO device_update_status (device_id, rollout_id, release_id, firmware_version, is_stepping_stone, stage,
         previous_version, status, created_at, reported_at, deadline_at, enqueue_after, not_before)
       SELECT d.device_id, :rollout, :release, :version, :stone::boolean, fence.stage, d.current_firmware_version, 'pending',
         :now::timestamptz, :now::timestamptz, :now::timestamptz + make_interval(days => :days::integer),
         :now::timestamptz + jitter.wait, :now::timestamptz + jitter.wait
       FROM fence, devices AS d
       CROSS JOIN LATERAL (
         -- The first 24 bits of a hash of the device, as a share of the jitter: the same whenever it is claimed.
         SELECT ('x' || substr(md5(d.device_id || :rollout::bigint), 1, 6))::bit(24)::integer / 16777216.0
           * make_interval(mins => :jitter::integer) AS wait) AS jitter
       WHERE ${CLAIMABLE}
         AND NOT EXISTS (SELECT FROM device_update_status AS u
           WHERE u.device_id = d.device_id AND u.closed_at IS NULL AND u.rollout_id IS NOT NULL)
       ORDER BY d.device_id
       LIMIT :limit
       ON CONFLICT DO NOTHING
       RETURNING stage
     ), counted AS (
       SELECT stage, count(*)::integer AS claimed FROM claimed GROUP BY stage
     ), staged AS (
       UPDATE rollout_stages AS s SET claimed = s.claimed + counted.claimed
       FROM counted WHERE s.rollout_id = :rollout AND s.stage = counted.stage
     )
     SELECT coalesce(sum(claimed), 0)::integer AS claimed FROM counted`,
    {
      ...claimValues(rollout, target, release),
      generation: rollout.generation,
      release: release.releaseId,
      stone: release.isSteppingStone,
      days: rollout.claim_deadline_days,
      jitter: rollout.jitter_minutes,
      limit,
      now,
    },
  );
  return row?.claimed ?? 0;
}

/** Cancels claims of rollouts that this one wins over, of devices that it may claim and that were sent nothing yet. */
async function takeOverClaims(
  sql: Sql,
  rollout: ActiveRollout,
  target: Target,
  release: ClaimedRelease,
  limit: number,
  now: Date,
): Promise<void> {
  await sql.query(
    `WITH lost AS (
       SELECT o.id FROM device_update_status AS o
       JOIN rollout_configurations AS l ON l.id = o.rollout_id AND (l.weight, l.id) < (:weight::integer, :rollout::bigint)
       JOIN devices AS d ON d.device_id = o.device_id
       WHERE o.status = 'pending' AND o.closed_at IS NULL AND o.attempt = 0 AND o.rollout_id <> :rollout
         AND ${CLAIMABLE}
       ORDER BY o.id LIMIT :limit FOR UPDATE OF o SKIP LOCKED
     )
     UPDATE device_update_status AS u SET
       status = 'canceled', closed_at = :now::timestamptz, completed_at = :now::timestamptz, deadline_at = NULL,
       error_message = 'rollout "' || :name || '" took over'
     FROM lost WHERE u.id = lost.id`,
    { ...claimValues(rollout, target, release), name: rollout.name, limit, now },
  );
}

/** Whether a member is left that this rollout may still have to claim: not claimed yet, or held by another rollout. */
export async function hasClaimable(
  sql: Sql,
  rollout: ActiveRollout,
  target: Target,
  release: ClaimedRelease,
): Promise<boolean> {
  if (release.fromVersions.length === 0) return false;
  const [row] = await sql.query<{ found: boolean }>(
    `SELECT EXISTS (SELECT FROM devices AS d WHERE ${CLAIMABLE}) AS found`,
    claimValues(rollout, target, release),
  );
  return row?.found ?? false;
}

/** Notes since when the gate of the present stage has held, or that it does not. */
export async function noteGate(sql: Sql, rollout: ActiveRollout, since: Date | null): Promise<void> {
  await sql.query(
    `UPDATE rollout_stages SET gate_held_since = :since::timestamptz
     WHERE rollout_id = :rollout AND stage = :stage AND gate_held_since IS DISTINCT FROM :since::timestamptz`,
    { rollout: rollout.id, stage: rollout.stage, since },
  );
}

/** Lets a rollout send up to an instant: the end of its present send window; null: without end. */
export async function setSendsUntil(sql: Sql, rolloutId: number, until: Date | null): Promise<void> {
  await sql.query(
    `UPDATE rollout_pace SET sends_until = :until::timestamptz
     WHERE rollout_id = :rollout AND sends_until IS DISTINCT FROM :until::timestamptz`,
    { rollout: rolloutId, until },
  );
}
