import type { Sql } from '../db/index.ts';
import { INSERT_DEVICE_EVENT } from './device-audit.ts';

/** A device whose identity is revoked or reinstated, why, and by whom (the identity of an operator). */
export interface IdentityChange {
  readonly deviceId: string;
  readonly reason: string;
  readonly by: string;
}

/**
 * Revokes the identity of a device as far as this service goes: no rollout means it any more, no rollout waits for it,
 * and it may not ask for another identity. Its certificate is the broker's to refuse.
 * {@link cancelRevoked} ends what is open. @returns false where there is no such device, or it was revoked already
 */
export async function revokeDevice(sql: Sql, { deviceId, reason, by }: IdentityChange, now: Date): Promise<boolean> {
  const rows = await sql.query(
    `WITH changed AS (
       UPDATE devices SET revoked_at = :now::timestamptz, revoked_reason = :reason, revoked_by = :by
       WHERE device_id = :device AND revoked_at IS NULL
       RETURNING device_id, 'device_revoked' AS event, jsonb_build_object('reason', :reason::text) AS payload
     ), barred AS (
       DELETE FROM allowed_devices WHERE device_id = :device
     ), noted AS (${INSERT_DEVICE_EVENT})
     SELECT device_id FROM changed`,
    { device: deviceId, reason, by, now },
  );
  return rows.length > 0;
}

/** Lets a revoked device take part again, with a new certificate. @returns false where it was not revoked */
export async function reinstateDevice(sql: Sql, { deviceId, reason, by }: IdentityChange, now: Date): Promise<boolean> {
  const rows = await sql.query(
    `WITH changed AS (
       UPDATE devices SET revoked_at = NULL, revoked_reason = NULL, revoked_by = NULL
       WHERE device_id = :device AND revoked_at IS NOT NULL
       RETURNING device_id, 'device_reinstated' AS event, jsonb_build_object('reason', :reason::text) AS payload
     ), noted AS (${INSERT_DEVICE_EVENT})
     SELECT device_id FROM changed`,
    { device: deviceId, reason, by, now },
  );
  return rows.length > 0;
}

/**
 * Ends the open updates of revoked devices as canceled: no failure, nothing to wait for, and their links answer 410.
 * Also of devices that were revoked by SQL alone, and what was claimed in the same moment.
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
