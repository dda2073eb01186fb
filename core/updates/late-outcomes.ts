import type { Sql } from '../db/index.ts';
import { runsRelease } from '../policy/index.ts';

/** Updates that one call reads; a device that reports again is read again. */
const UPDATES_PER_CALL = 500;

interface Candidate {
  readonly id: number;
  readonly target: string;
  readonly current: string;
}

/**
 * Records devices that run the version which their failed update was to bring. A late success is shown and does not
 * count as a failure any more. Nothing is opened again. A device whose update failed after it had booted the version
 * runs a build that does not stay up: that it reports the version again is not a success.
 */
export async function recordLateSuccesses(sql: Sql, deviceIds: readonly string[], now: Date): Promise<void> {
  if (deviceIds.length === 0) return;
  const candidates = await sql.query<Candidate>(
    `SELECT u.id, u.firmware_version AS target, d.current_firmware_version AS current
     FROM device_update_status AS u JOIN devices AS d USING (device_id)
     WHERE u.device_id IN (SELECT jsonb_array_elements_text(:devices::jsonb)) AND u.rollout_id IS NOT NULL
       AND u.status IN ('failed', 'rolled_back', 'timed_out') AND u.late_success_at IS NULL
       AND NOT u.is_reclaimable AND d.version_received_at > u.completed_at
       AND NOT (u.cause = 'build' AND u.booted_at IS NOT NULL)
     LIMIT ${UPDATES_PER_CALL}`,
    { devices: deviceIds },
  );
  const late = candidates.filter(({ target, current }) => runsRelease(current, target)).map(({ id }) => id);
  if (late.length === 0) return;
  await sql.query(
    `UPDATE device_update_status SET late_success_at = :now::timestamptz
     WHERE id IN (SELECT jsonb_array_elements_text(:ids::jsonb)::bigint) AND late_success_at IS NULL`,
    { ids: late, now },
  );
}

/**
 * Records devices that left the version which their newest update had brought and proven: a factory reset, a flash by
 * cable, a crash much later. A late rollback is shown and counts as a failure of the release.
 */
export async function recordLateRollbacks(sql: Sql, deviceIds: readonly string[], now: Date): Promise<void> {
  if (deviceIds.length === 0) return;
  const candidates = await sql.query<Candidate>(
    `SELECT u.id, u.firmware_version AS target, d.current_firmware_version AS current
     FROM jsonb_array_elements_text(:devices::jsonb) AS seen(id)
     CROSS JOIN LATERAL (SELECT * FROM devices WHERE device_id = seen.id OFFSET 0) AS d
     CROSS JOIN LATERAL (SELECT * FROM device_update_status WHERE device_id = seen.id ORDER BY id DESC LIMIT 1) AS u
     WHERE u.status = 'success' AND u.rollout_id IS NOT NULL AND u.late_rollback_at IS NULL
       AND d.version_received_at > u.completed_at`,
    { devices: deviceIds },
  );
  const left = candidates.filter(({ target, current }) => !runsRelease(current, target)).map(({ id }) => id);
  if (left.length === 0) return;
  await sql.query(
    `UPDATE device_update_status SET late_rollback_at = :now::timestamptz
     WHERE id IN (SELECT jsonb_array_elements_text(:ids::jsonb)::bigint) AND late_rollback_at IS NULL`,
    { ids: left, now },
  );
}
