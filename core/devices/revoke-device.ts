import type { Sql } from '../db/index.ts';
import type { DeviceId } from '../util/index.ts';
import { INSERT_DEVICE_EVENT } from './device-audit.ts';

/** An operator's decision about the identity of a device: why, and by which operator. */
export interface IdentityDecision {
  readonly deviceId: DeviceId;
  readonly reason: string;
  readonly by: string;
}

/**
 * Revokes the identity of a device within this service: no rollout targets it or waits for it, and it may not request
 * another identity. The broker refuses its certificate; {@link cancelRevoked} cancels its open updates.
 * @returns false if the device does not exist or was already revoked
 */
export async function revokeDevice(sql: Sql, { deviceId, reason, by }: IdentityDecision, now: Date): Promise<boolean> {
  const rows = await sql.query(
    `WITH changed AS (
       UPDATE devices SET revoked_at = :now::timestamptz, revoked_reason = :reason, revoked_by = :by
       WHERE device_id = :device AND revoked_at IS NULL
       RETURNING device_id, 'device_revoked' AS event, jsonb_build_object('reason', :reason::text) AS payload
     ), disallowed AS (
       DELETE FROM allowed_devices WHERE device_id = :device
     ), recorded AS (${INSERT_DEVICE_EVENT})
     SELECT device_id FROM changed`,
    { device: deviceId, reason, by, now },
  );
  return rows.length > 0;
}

/**
 * Allows a revoked device to be targeted again; it needs a new certificate.
 * @returns false if the device was not revoked
 */
export async function reinstateDevice(
  sql: Sql,
  { deviceId, reason, by }: IdentityDecision,
  now: Date,
): Promise<boolean> {
  const rows = await sql.query(
    `WITH changed AS (
       UPDATE devices SET revoked_at = NULL, revoked_reason = NULL, revoked_by = NULL
       WHERE device_id = :device AND revoked_at IS NOT NULL
       RETURNING device_id, 'device_reinstated' AS event, jsonb_build_object('reason', :reason::text) AS payload
     ), recorded AS (${INSERT_DEVICE_EVENT})
     SELECT device_id FROM changed`,
    { device: deviceId, reason, by, now },
  );
  return rows.length > 0;
}

/**
 * Cancels the open updates of revoked devices. They do not count as failures, no rollout waits for them, and their
 * links answer 410. Also covers devices that were revoked directly by SQL and updates assigned at the same moment.
 */
export async function cancelRevoked(sql: Sql, now: Date): Promise<void> {
  await sql.query(
    `WITH picked AS (
       SELECT u.id FROM devices AS d JOIN device_update_status AS u USING (device_id)
       WHERE d.revoked_at IS NOT NULL AND u.completed_at IS NULL
       ORDER BY u.device_id FOR UPDATE OF u SKIP LOCKED
     )
     UPDATE device_update_status AS u SET
       status = 'canceled', is_reclaimable = true, completed_at = :now::timestamptz,
       deadline_at = NULL, error_message = 'the identity of the device was revoked'
     FROM picked WHERE u.id = picked.id`,
    { now },
  );
}
