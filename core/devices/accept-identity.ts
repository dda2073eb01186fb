import type { Sql } from '../db/index.ts';
import type { DeviceId } from '../util/index.ts';
import { INSERT_DEVICE_EVENT } from './device-audit.ts';

/** A decision about the identity of devices: the reason, and who decided. */
export interface IdentityAcceptance {
  readonly deviceIds: readonly DeviceId[];
  /** The model that is stated for them; null: the one that each reports. */
  readonly model: string | null;
  readonly reason: string;
  readonly by: string;
}

/** True if the acceptance would change the device. */
const IS_AFFECTED =
  'identity_changed_at IS NOT NULL OR :model::text IS NOT NULL AND (model_is_assumed OR device_model <> :model)';

/**
 * Pins the model and the MAC address that devices report now, or the model that is stated, so that rollouts may target
 * them. Devices that it would not change, or that do not exist, are left as they are.
 * @returns how many devices it changed
 */
export async function acceptIdentities(sql: Sql, acceptance: IdentityAcceptance, now: Date): Promise<number> {
  return pinIdentities(sql, acceptance, IS_AFFECTED, now);
}

/**
 * States the model of those devices whose model was never stated.
 * @returns how many they were
 */
export async function stateAssumedModels(sql: Sql, acceptance: IdentityAcceptance, now: Date): Promise<number> {
  return pinIdentities(sql, acceptance, 'model_is_assumed', now);
}

async function pinIdentities(
  sql: Sql,
  { deviceIds, model, reason, by }: IdentityAcceptance,
  condition: string,
  now: Date,
): Promise<number> {
  if (deviceIds.length === 0) return 0;
  const rows = await sql.query(
    `WITH before AS (
       SELECT device_id, device_model, model_is_assumed, mac_address, reported_mac,
         coalesce(:model, reported_model, device_model) AS next_model
       FROM devices
       WHERE device_id IN (SELECT jsonb_array_elements_text(:devices::jsonb)) AND (${condition})
       ORDER BY device_id FOR UPDATE
     ), changed AS (
       UPDATE devices AS d SET device_model = before.next_model,
         model_received_at = CASE WHEN :model::text IS NULL THEN d.model_received_at
           ELSE greatest(d.model_received_at, :now::timestamptz) END,
         mac_address = coalesce(before.reported_mac, d.mac_address),
         reported_model = NULL, reported_mac = NULL, identity_changed_at = NULL
       FROM before WHERE d.device_id = before.device_id
       RETURNING d.device_id, 'identity_accepted' AS event, jsonb_strip_nulls(jsonb_build_object('reason', :reason::text,
         'model', CASE WHEN before.model_is_assumed AND :model::text IS NOT NULL
           OR before.next_model <> before.device_model THEN before.next_model END,
         'model_before', CASE WHEN NOT before.model_is_assumed AND before.next_model <> before.device_model
           THEN before.device_model END,
         'mac', before.reported_mac, 'mac_before', CASE WHEN before.reported_mac IS NOT NULL THEN before.mac_address END)) AS payload
     ), recorded AS (${INSERT_DEVICE_EVENT})
     SELECT device_id FROM changed`,
    { devices: deviceIds, model, reason, by, now },
  );
  return rows.length;
}
