import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { FAILED_LIST } from '../policy/index.ts';
import { isUnverifiedBoot, runsRelease } from '../protocol/index.ts';
import { type DeviceId, ID } from '../util/index.ts';

/** Updates that one call reads; a device that reports again is read again. */
const UPDATES_PER_CALL = 500;

const candidate = z.strictObject({
  id: ID.update,
  target: z.string(),
  current: z.string(),
});

const failedCandidate = z.strictObject({
  ...candidate.shape,
  previous: z.string().nullable(),
  result_code: z.int().nullable(),
  may_succeed_late: z.boolean(),
});
type FailedCandidate = RowOf<typeof failedCandidate>;

/**
 * Records devices that run the version which their failed update was to bring. A late success is shown and does not
 * count as a failure any more. Nothing is opened again. A device whose update failed after it had booted the version
 * runs a build that does not stay up: that it reports the version again is not a success. A device that had reported a
 * failed verification runs bytes that are not verified: that is recorded in place of a success.
 */
export async function recordLateSuccesses(sql: Sql, deviceIds: readonly DeviceId[], now: Date): Promise<void> {
  if (deviceIds.length === 0) return;
  const candidates = await select(
    sql,
    failedCandidate,
    `SELECT u.id, u.firmware_version AS target, d.current_firmware_version AS current, u.previous_version AS previous,
       u.result_code, u.rollout_id IS NOT NULL AND NOT u.is_reclaimable
         AND NOT (u.cause = 'build' AND u.booted_at IS NOT NULL) AS may_succeed_late
     FROM device_update_status AS u JOIN devices AS d USING (device_id)
     WHERE u.device_id IN (SELECT jsonb_array_elements_text(:devices::jsonb))
       AND u.status IN ${FAILED_LIST} AND u.late_success_at IS NULL AND u.unverified_at IS NULL
       AND d.version_received_at > u.completed_at
     LIMIT ${UPDATES_PER_CALL}`,
    { devices: deviceIds },
  );
  const reached = candidates.filter(({ target, current }) => runsRelease(current, target));
  const isUnverified = ({ result_code, previous, target }: FailedCandidate) =>
    isUnverifiedBoot(result_code, previous, target);
  const unverified = reached.filter(isUnverified).map(({ id }) => id);
  const late = reached.filter((one) => one.may_succeed_late && !isUnverified(one)).map(({ id }) => id);
  if (late.length + unverified.length === 0) return;
  await sql.query(
    `UPDATE device_update_status AS u SET
       late_success_at = CASE WHEN NOT c.is_unverified THEN :now::timestamptz END,
       unverified_at = CASE WHEN c.is_unverified THEN :now::timestamptz END
     FROM (
       SELECT id::bigint, false AS is_unverified FROM jsonb_array_elements_text(:late::jsonb) AS l(id)
       UNION ALL SELECT id::bigint, true FROM jsonb_array_elements_text(:unverified::jsonb) AS l(id)
     ) AS c
     WHERE u.id = c.id AND u.late_success_at IS NULL AND u.unverified_at IS NULL`,
    { late, unverified, now },
  );
}

/**
 * Records devices that left the version which their newest update had brought and proven: a factory reset, a flash by
 * cable, a crash much later. A late rollback is shown and counts as a failure of the release.
 */
export async function recordLateRollbacks(sql: Sql, deviceIds: readonly DeviceId[], now: Date): Promise<void> {
  if (deviceIds.length === 0) return;
  const candidates = await select(
    sql,
    candidate,
    `SELECT u.id, u.firmware_version AS target, d.current_firmware_version AS current
     FROM jsonb_array_elements_text(:devices::jsonb) AS seen(id)
     CROSS JOIN LATERAL (SELECT current_firmware_version, version_received_at FROM devices WHERE device_id = seen.id OFFSET 0) AS d
     CROSS JOIN LATERAL (SELECT id, firmware_version, status, rollout_id, late_rollback_at, completed_at
       FROM device_update_status WHERE device_id = seen.id ORDER BY id DESC LIMIT 1) AS u
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
