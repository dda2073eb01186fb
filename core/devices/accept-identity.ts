import type { Sql } from '../db/index.ts';
import { INSERT_DEVICE_EVENT } from './device-audit.ts';
import type { IdentityDecision } from './revoke-device.ts';

/**
 * Pins the model and the MAC address that a device reports now, so that rollouts may target it again.
 * @returns false if the device reports what is pinned, or does not exist
 */
export async function acceptIdentity(
  sql: Sql,
  { deviceId, reason, by }: IdentityDecision,
  now: Date,
): Promise<boolean> {
  const rows = await sql.query(
    `WITH before AS (
       SELECT device_id, device_model, mac_address, reported_model, reported_mac FROM devices
       WHERE device_id = :device AND identity_changed_at IS NOT NULL FOR UPDATE
     ), changed AS (
       UPDATE devices AS d SET device_model = coalesce(before.reported_model, d.device_model),
         mac_address = coalesce(before.reported_mac, d.mac_address),
         reported_model = NULL, reported_mac = NULL, identity_changed_at = NULL
       FROM before WHERE d.device_id = before.device_id
       RETURNING d.device_id, 'identity_accepted' AS event, jsonb_strip_nulls(jsonb_build_object('reason', :reason::text,
         'model', before.reported_model, 'model_before', CASE WHEN before.reported_model IS NOT NULL THEN before.device_model END,
         'mac', before.reported_mac, 'mac_before', CASE WHEN before.reported_mac IS NOT NULL THEN before.mac_address END)) AS payload
     ), recorded AS (${INSERT_DEVICE_EVENT})
     SELECT device_id FROM changed`,
    { device: deviceId, reason, by, now },
  );
  return rows.length > 0;
}
