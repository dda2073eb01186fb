import type { Sql } from './database.ts';
import type { Target, TargetType } from './target-filter.ts';

/** An active rollout with the release it rolls out. `release_id` is null while that release is not registered. */
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
  readonly member_threshold: string | null;
  readonly release_id: number | null;
  readonly min_version: string | null;
}

/** Rollouts that may claim devices now, oldest first. A rollout row made by plain SQL gets its pace row here. */
export async function readActiveRollouts(sql: Sql): Promise<ActiveRollout[]> {
  await sql.query(
    `INSERT INTO rollout_pace (rollout_id)
     SELECT id FROM rollout_configurations WHERE is_active AND completed_at IS NULL
     ON CONFLICT DO NOTHING`,
  );
  return sql.query(
    `SELECT r.id, r.name, r.firmware_version, r.device_model, r.target_type, r.target_filter, r.rollout_percentage,
       r.allow_downgrade, r.include_unknown, r.claim_deadline_days, r.member_threshold,
       f.id AS release_id, f.min_version
     FROM rollout_configurations AS r
     LEFT JOIN firmware_releases AS f ON f.device_model = r.device_model AND f.version = r.firmware_version
     WHERE r.is_active AND r.completed_at IS NULL AND r.paused_at IS NULL
     ORDER BY r.id LIMIT 200`,
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

/**
 * Claims devices for a rollout: each becomes owed a command. A device has one open update and is claimed once a rollout;
 * both are constraints, so that two claimers at once cannot claim a device twice.
 * @returns how many were claimed
 */
export async function claimDevices(
  sql: Sql,
  rollout: ActiveRollout,
  target: Target,
  eligibleVersions: readonly string[],
  limit: number,
  now: Date,
): Promise<number> {
  const [row] = await sql.query<{ claimed: number }>(
    `WITH claimed AS (
       INSERT INTO device_update_status (device_id, rollout_id, release_id, firmware_version, previous_version, status,
         created_at, reported_at, deadline_at, enqueue_after)
       SELECT d.device_id, :rollout, :release, :version, d.current_firmware_version, 'pending', :now::timestamptz,
         :now::timestamptz, :now::timestamptz + make_interval(days => :days::integer), :now::timestamptz
       FROM devices AS d
       WHERE ${TARGET_CONDITION}
         AND d.current_firmware_version IN (SELECT jsonb_array_elements_text(:eligible::jsonb))
         AND md5(:rollout::bigint || ':' || d.device_id) <= :threshold
         AND NOT EXISTS (SELECT FROM device_update_status AS u WHERE u.rollout_id = :rollout AND u.device_id = d.device_id)
         AND NOT EXISTS (SELECT FROM device_update_status AS u
           WHERE u.device_id = d.device_id AND u.closed_at IS NULL AND u.rollout_id IS NOT NULL)
       ORDER BY d.device_id
       LIMIT :limit
       ON CONFLICT DO NOTHING
       RETURNING id
     )
     SELECT count(*)::integer AS claimed FROM claimed`,
    {
      rollout: rollout.id,
      release: rollout.release_id,
      version: rollout.firmware_version,
      threshold: rollout.member_threshold,
      days: rollout.claim_deadline_days,
      eligible: eligibleVersions,
      limit,
      now,
      ...targetValues(rollout.device_model, target),
    },
  );
  return row?.claimed ?? 0;
}

/** Stops a rollout with a reason that its reader can act on. Nothing more is claimed or sent until somebody resumes it. */
export async function pauseRollout(sql: Sql, rolloutId: number, reason: string, by: string, now: Date): Promise<void> {
  await sql.query(
    `WITH paused AS (
       UPDATE rollout_configurations SET paused_at = :now::timestamptz, paused_reason = :reason, paused_by = :by
       WHERE id = :rollout AND paused_at IS NULL
       RETURNING id
     ), stopped AS (
       UPDATE rollout_pace SET halted = true WHERE rollout_id IN (SELECT id FROM paused)
     )
     INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
     SELECT id, 'rollout_paused', :now::timestamptz, jsonb_build_object('reason', :reason, 'by', :by),
       md5(id || 'paused') FROM paused
     ON CONFLICT DO NOTHING`,
    { rollout: rolloutId, reason, by, now },
  );
}

/** Completes each active rollout that has begun, has claimed all it may and has no open update left. */
export async function completeRollout(sql: Sql, rolloutId: number, now: Date): Promise<boolean> {
  const rows = await sql.query(
    `WITH completed AS (
       UPDATE rollout_configurations AS r SET completed_at = :now::timestamptz
       WHERE id = :rollout AND completed_at IS NULL AND member_threshold IS NOT NULL
         AND EXISTS (SELECT FROM device_update_status AS u WHERE u.rollout_id = r.id)
         AND NOT EXISTS (SELECT FROM device_update_status AS u WHERE u.rollout_id = r.id AND u.closed_at IS NULL)
       RETURNING id
     )
     INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
     SELECT c.id, 'rollout_completed', :now::timestamptz, (
         SELECT jsonb_object_agg(status, devices) FROM (
           SELECT status, count(*) AS devices FROM device_update_status WHERE rollout_id = c.id GROUP BY status) AS s),
       md5(c.id || 'completed')
     FROM completed AS c
     RETURNING id`,
    { rollout: rolloutId, now },
  );
  return rows.length > 0;
}
