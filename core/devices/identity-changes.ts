import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { type DeviceId, ID } from '../util/index.ts';

const changedDevices = z.strictObject({
  device_model: z.string(),
  mac_address: z.string().nullable(),
  reported_model: z.string().nullable(),
  reported_mac: z.string().nullable(),
  /** The rollout that brought the version with which the change came; null if the change came without an update. */
  rollout_id: ID.rollout.nullable(),
  rollout_name: z.string().nullable(),
  devices: z.int(),
  /** Some of their ids. */
  examples: z.array(z.string()),
});

/** Devices whose changed identity waits for an operator, and that are alike. */
export type ChangedDevices = RowOf<typeof changedDevices>;

/** Devices read for the groups; of a larger number, those that changed last. */
const MAX_CHANGED = 1000;
const EXAMPLES = 3;

/**
 * Devices that report another model or MAC address than is pinned. Those that changed with a version that a rollout sent
 * them are one group for each rollout; the others are one group.
 */
export async function listChangedDevices(sql: Sql): Promise<ChangedDevices[]> {
  return select(
    sql,
    changedDevices,
    `SELECT r.id AS rollout_id, r.name AS rollout_name, count(*)::integer AS devices,
       to_jsonb((array_agg(c.device_id ORDER BY c.identity_changed_at DESC, c.device_id))[1:${EXAMPLES}]) AS examples,
       (array_agg(c.device_model ORDER BY c.identity_changed_at DESC, c.device_id))[1] AS device_model,
       (array_agg(c.reported_model ORDER BY c.identity_changed_at DESC, c.device_id))[1] AS reported_model,
       (array_agg(c.mac_address ORDER BY c.identity_changed_at DESC, c.device_id))[1] AS mac_address,
       (array_agg(c.reported_mac ORDER BY c.identity_changed_at DESC, c.device_id))[1] AS reported_mac
     FROM (SELECT * FROM devices WHERE identity_changed_at IS NOT NULL AND revoked_at IS NULL
           ORDER BY identity_changed_at DESC LIMIT ${MAX_CHANGED}) AS c
     LEFT JOIN LATERAL (
       SELECT rollout_id, firmware_version, sent_at FROM device_update_status
       WHERE device_id = c.device_id AND rollout_id IS NOT NULL AND sends > 0 AND created_at <= c.identity_changed_at
       ORDER BY id DESC LIMIT 1) AS u ON ltrim(u.firmware_version, 'vV') = ltrim(c.current_firmware_version, 'vV')
     LEFT JOIN rollout_configurations AS r ON r.id = u.rollout_id
     GROUP BY r.id, r.name ORDER BY devices DESC, r.id NULLS LAST`,
  );
}

const assumedModels = z.strictObject({ devices: z.int(), examples: z.array(z.string()) });

/** Devices whose model was never stated, and some of their ids. */
export type AssumedModels = RowOf<typeof assumedModels>;

export async function findAssumedModels(sql: Sql): Promise<AssumedModels> {
  const [row] = await select(
    sql,
    assumedModels,
    `SELECT (SELECT count(*)::integer FROM devices WHERE model_is_assumed AND revoked_at IS NULL) AS devices,
       (SELECT coalesce(jsonb_agg(a.device_id), '[]') FROM (
          SELECT device_id FROM devices WHERE model_is_assumed AND revoked_at IS NULL
          ORDER BY device_id LIMIT ${EXAMPLES}) AS a) AS examples`,
  );
  return row ?? { devices: 0, examples: [] };
}

/** Those of the given devices whose model was never stated. */
export async function listAssumed(sql: Sql, deviceIds: readonly DeviceId[]): Promise<DeviceId[]> {
  const rows = await select(
    sql,
    z.strictObject({ device_id: ID.device }),
    `SELECT device_id FROM devices
     WHERE model_is_assumed AND device_id IN (SELECT jsonb_array_elements_text(:devices::jsonb))
     ORDER BY device_id LIMIT ${MAX_CHANGED}`,
    { devices: deviceIds },
  );
  return rows.map(({ device_id: id }) => id);
}

const sharedMac = z.strictObject({
  device_id: ID.device,
  mac: z.string(),
  others: z.array(z.string()),
  /** Devices that began to do so in the last day, this one included. */
  devices: z.int(),
});

/** A device that began to report the MAC address of another one. */
export type SharedMac = RowOf<typeof sharedMac>;

/** The newest such device of the last day; undefined if there was none. */
export async function findSharedMac(sql: Sql, now: Date): Promise<SharedMac | undefined> {
  const [row] = await select(
    sql,
    sharedMac,
    `SELECT e.device_id, e.payload ->> 'mac' AS mac, e.payload -> 'with' AS others, n.devices
     FROM ota_events AS e, (
       SELECT count(DISTINCT device_id)::integer AS devices FROM ota_events
       WHERE event_type = 'mac_shared' AND received_at > :since::timestamptz
     ) AS n
     WHERE e.event_type = 'mac_shared' AND e.received_at > :since::timestamptz
     ORDER BY e.received_at DESC, e.id DESC LIMIT 1`,
    { since: new Date(now.getTime() - 86_400_000) },
  );
  return row;
}

/** The given MAC addresses that more than one device has or reports, each with some of those devices. */
export async function listSharedMacs(
  sql: Sql,
  macs: readonly string[],
): Promise<{ readonly mac: string; readonly device_ids: readonly string[] }[]> {
  return select(
    sql,
    z.strictObject({ mac: z.string(), device_ids: z.array(z.string()) }),
    `SELECT mac_address AS mac, to_jsonb((array_agg(device_id ORDER BY device_id))[1:5]) AS device_ids
     FROM devices WHERE mac_address IN (SELECT jsonb_array_elements_text(:macs::jsonb))
     GROUP BY mac_address HAVING count(*) > 1 ORDER BY mac_address LIMIT 50`,
    { macs },
  );
}
