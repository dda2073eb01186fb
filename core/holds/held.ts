/** True if the hold `h` has begun and has not ended. In this form, the planner knows that few holds of all are in force. */
export const IN_FORCE = 'h.ended_at IS NULL AND h.began_at IS NOT NULL';

const byAny = (device: string, counts: string): string => `(
           EXISTS (SELECT FROM holds AS h WHERE h.scope = 'service' AND ${counts})
           OR EXISTS (SELECT FROM holds AS h WHERE h.device_id = ${device} AND ${counts})
           OR EXISTS (SELECT FROM device_groups AS m JOIN holds AS h ON h.group_name = m.group_name
             WHERE m.device_id = ${device} AND ${counts}))`;

/**
 * True if a hold in force holds the device: its own, one of a group that it is in, or one of the whole service. The
 * first part depends on no device, and the other two are equalities, so that the planner can hash them for a scan.
 * @param device SQL that names the id of the device; not by the aliases h and m
 */
export const isHeld = (device: string): string => byAny(device, IN_FORCE);

/** True if `:hold`, and no other hold, holds the device. */
export const isHeldByOne = (device: string): string =>
  `${byAny(device, `h.id = :hold::bigint AND ${IN_FORCE}`)} AND NOT ${byAny(device, `h.id <> :hold::bigint AND ${IN_FORCE}`)}`;

/** Selects the ids of the devices that a hold of a device or a group holds; one of the whole service holds all others, too. */
export const HELD_BY_NAME = `SELECT h.device_id FROM holds AS h WHERE h.device_id IS NOT NULL AND ${IN_FORCE}
         UNION SELECT g.device_id FROM holds AS h JOIN device_groups AS g ON g.group_name = h.group_name WHERE ${IN_FORCE}`;

/** The same with the id of each hold. */
export const HELD_BY_EACH = `SELECT h.id AS hold_id, h.device_id FROM holds AS h WHERE h.device_id IS NOT NULL AND ${IN_FORCE}
         UNION ALL SELECT h.id, g.device_id FROM holds AS h JOIN device_groups AS g ON g.group_name = h.group_name WHERE ${IN_FORCE}`;

/** The hold `h` as JSON. */
export const HOLD = `jsonb_build_object('hold_id', h.id, 'scope', h.scope, 'device_id', h.device_id, 'group_name', h.group_name, 'reason', h.reason,
         'created_at', h.created_at, 'created_by', h.created_by, 'starts_at', h.starts_at, 'began_at', h.began_at, 'ends_at', h.ends_at)`;

/**
 * The holds in force that hold a device, the widest first, as JSON; an empty list if none does.
 * @param device SQL that names the id of the device
 */
export const holdsOf = (device: string): string => `(SELECT coalesce(jsonb_agg(${HOLD}
           ORDER BY h.scope DESC, h.id), '[]') FROM holds AS h
         WHERE ${IN_FORCE} AND (h.scope = 'service' OR h.device_id = ${device}
           OR h.group_name IN (SELECT m.group_name FROM device_groups AS m WHERE m.device_id = ${device})))`;

/** The hold of the whole service that was set first, as JSON; null if the service is not held. */
export const SERVICE_HOLD = `(SELECT ${HOLD} FROM holds AS h
         WHERE h.scope = 'service' AND ${IN_FORCE} ORDER BY h.id LIMIT 1)`;
