import type { Sql } from '../db/index.ts';
import type { DeviceId } from '../util/index.ts';
import { INSERT_DEVICE_EVENT } from './device-audit.ts';

/** A decision to accept what devices report: the reason, and who decided. */
export interface IdentityAcceptance {
  readonly deviceIds: readonly DeviceId[];
  readonly reason: string;
  readonly by: string;
}

/**
 * Pins the model and the MAC address that devices report now, so that rollouts may target them again. Devices that report
 * what is pinned, or that do not exist, are left as they are.
 * @returns how many devices reported another identity
 */
export async function acceptIdentities(
  sql: Sql,
  { deviceIds, reason, by }: IdentityAcceptance,
  now: Date,
): Promise<number> {
  if (deviceIds.length === 0) return 0;
  const rows = await sql.query(
    `WITH before AS (
       SELECT device_id, device_model, mac_address, reported_model, reported_mac FROM devices
       WHERE device_id IN (SELECT jsonb_array_elements_text(:devices::jsonb)) AND identity_changed_at IS NOT NULL
       ORDER BY device_id FOR UPDATE
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
    { devices: deviceIds, reason, by, now },
  );
  return rows.length;
}
