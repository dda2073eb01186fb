import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import type { DeviceId } from '../util/index.ts';

/** A change of devices that has not been made. */
export interface DeviceChange {
  readonly deviceIds: readonly DeviceId[];
  readonly joinGroups?: readonly string[];
  readonly leaveGroups?: readonly string[];
  /** Attributes; null removes one. */
  readonly attributes?: Readonly<Record<string, string | number | boolean | null>>;
  /** The identity that is accepted: what the devices report, with this model if one is stated. */
  readonly identity?: { readonly model: string | null };
  /** True if the revocation of their identity ends. */
  readonly reinstates?: boolean;
}

/** The columns of devices that a change does not touch and that the rules of assignment read. */
const UNCHANGED =
  'device_id, current_firmware_version, command_family, registered_at, reported_model, reported_mac, version_received_at, facts';

/**
 * Tables as they would be after the change of {@link changeValues}. A statement that begins with them reads them in place
 * of the tables of the same names, so that it needs no second set of rules.
 */
export const CHANGED_TABLES = `devices AS NOT MATERIALIZED (
       SELECT ${UNCHANGED}, device_model, model_is_assumed, mac_address, metadata, revoked_at, identity_changed_at FROM devices
       WHERE device_id NOT IN (SELECT jsonb_array_elements_text(:only::jsonb))
       UNION ALL
       SELECT ${UNCHANGED},
         CASE WHEN :acceptsIdentity::boolean THEN coalesce(:statedModel::text, reported_model, device_model) ELSE device_model END,
         model_is_assumed AND NOT :acceptsIdentity::boolean,
         CASE WHEN :acceptsIdentity::boolean THEN coalesce(reported_mac, mac_address) ELSE mac_address END,
         jsonb_strip_nulls(metadata || :attributes::jsonb),
         CASE WHEN NOT :reinstates::boolean THEN revoked_at END,
         CASE WHEN NOT :acceptsIdentity::boolean THEN identity_changed_at END
       FROM devices WHERE device_id IN (SELECT jsonb_array_elements_text(:only::jsonb))
     ), device_groups AS NOT MATERIALIZED (
       SELECT device_id, group_name FROM device_groups
       WHERE device_id NOT IN (SELECT jsonb_array_elements_text(:only::jsonb))
         OR group_name NOT IN (SELECT jsonb_array_elements_text(:leaveGroups::jsonb))
       UNION
       SELECT o.device_id, j.group_name FROM jsonb_array_elements_text(:only::jsonb) AS o (device_id)
       CROSS JOIN jsonb_array_elements_text(:joinGroups::jsonb) AS j (group_name)
     )`;

export const changeValues = (change: DeviceChange) => ({
  joinGroups: change.joinGroups ?? [],
  leaveGroups: change.leaveGroups ?? [],
  attributes: change.attributes ?? {},
  acceptsIdentity: change.identity !== undefined,
  statedModel: change.identity?.model ?? null,
  reinstates: change.reinstates ?? false,
});

const modelVersion = z.strictObject({ model: z.string(), version: z.string() });
const ROWS = 2_000;

/** The models and versions of the devices, those that they would have after an accepted identity included. */
export function listModelVersions(sql: Sql, deviceIds: readonly DeviceId[]): Promise<RowOf<typeof modelVersion>[]> {
  return select(
    sql,
    modelVersion,
    `SELECT DISTINCT m.model, d.current_firmware_version AS version
     FROM devices AS d CROSS JOIN LATERAL (VALUES (d.device_model), (d.reported_model)) AS m (model)
     WHERE d.device_id IN (SELECT jsonb_array_elements_text(:devices::jsonb)) AND m.model IS NOT NULL
     ORDER BY 1, 2 LIMIT ${ROWS}`,
    { devices: deviceIds },
  );
}
