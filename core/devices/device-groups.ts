import * as z from 'zod';
import { type RowOf, readInPages, type Sql, select } from '../db/index.ts';
import { type DeviceId, ID } from '../util/index.ts';
import { INSERT_DEVICE_EVENT } from './device-audit.ts';

/** Who changes a device, and when; recorded in its timeline. */
export interface Actor {
  readonly by: string;
  readonly now: Date;
}

/**
 * Maximum bytes of all attributes of a device as JSON. A page of devices contains them and must stay under the Data
 * API's limit of 1 MiB.
 */
export const MAX_ATTRIBUTES_BYTES = 4000;

/** Size in a response of the Data API, which carries JSON as text. */
const answerBytes = (column: string) => `octet_length(to_json(${column}::text)::text)`;

/** Sets attributes of a device; null removes one. Nothing changes if the result would be too large. */
export async function setAttributes(
  sql: Sql,
  deviceId: DeviceId,
  changes: Readonly<Record<string, string | number | boolean | null>>,
  { by, now }: Actor,
): Promise<'set' | 'too large' | 'unknown device'> {
  const [row] = await select(
    sql,
    z.strictObject({ is_set: z.boolean() }),
    `WITH changed AS (
       UPDATE devices AS d SET metadata = n.metadata
       FROM (SELECT jsonb_strip_nulls(metadata || (:changes::jsonb -> 'attributes')) AS metadata, metadata AS before
             FROM devices WHERE device_id = :device FOR UPDATE) AS n
       WHERE d.device_id = :device
         AND (${answerBytes('n.metadata')} <= ${MAX_ATTRIBUTES_BYTES} OR ${answerBytes('n.metadata')} < ${answerBytes('n.before')})
       RETURNING device_id, 'attributes_set' AS event, :changes::jsonb AS payload
     ), recorded AS (${INSERT_DEVICE_EVENT})
     SELECT EXISTS (SELECT FROM changed) AS is_set FROM devices WHERE device_id = :device`,
    { device: deviceId, changes: { attributes: changes }, by, now },
  );
  if (row === undefined) return 'unknown device';
  return row.is_set ? 'set' : 'too large';
}

/** The rows of `removed` and `added` (device_id, group_name) as input of {@link INSERT_DEVICE_EVENT}. */
const GROUP_CHANGES = `changed AS (
       SELECT device_id, 'left_group' AS event, jsonb_build_object('group', group_name) AS payload FROM removed
       UNION ALL
       SELECT device_id, 'joined_group', jsonb_build_object('group', group_name) FROM added
     )`;

/**
 * Replaces the groups of a device.
 * @returns false if the device does not exist
 */
export async function setGroups(
  sql: Sql,
  deviceId: DeviceId,
  groups: readonly string[],
  { by, now }: Actor,
): Promise<boolean> {
  const rows = await sql.query(
    `WITH device AS (
       SELECT device_id FROM devices WHERE device_id = :device
     ), removed AS (
       DELETE FROM device_groups WHERE device_id = :device
         AND group_name NOT IN (SELECT jsonb_array_elements_text(:groups::jsonb))
       RETURNING device_id, group_name
     ), added AS (
       INSERT INTO device_groups (device_id, group_name)
       SELECT device_id, g.name FROM device, jsonb_array_elements_text(:groups::jsonb) AS g(name)
       ON CONFLICT DO NOTHING
       RETURNING device_id, group_name
     ), ${GROUP_CHANGES}, recorded AS (${INSERT_DEVICE_EVENT})
     SELECT device_id FROM device`,
    { device: deviceId, groups, by, now },
  );
  return rows.length > 0;
}

/** Rows with a name and a number that fit a response. */
const ROWS_PER_PAGE = 2_000;

const groupRow = z.strictObject({
  group_name: z.string(),
  devices: z.int(),
});
export type GroupRow = RowOf<typeof groupRow>;

export async function listGroups(sql: Sql): Promise<GroupRow[]> {
  return readInPages(
    (page) =>
      select(
        sql,
        groupRow,
        `SELECT group_name, count(*)::integer AS devices FROM device_groups
         GROUP BY group_name ORDER BY group_name LIMIT :limit OFFSET :offset`,
        { ...page },
      ),
    ROWS_PER_PAGE,
  );
}

/** The given groups in which no device is, each with a group whose name differs from it only by case. */
export async function findUnknownGroups(
  sql: Sql,
  groups: readonly string[],
): Promise<{ readonly group_name: string; readonly similar: string | null }[]> {
  return select(
    sql,
    z.strictObject({ group_name: z.string(), similar: z.string().nullable() }),
    `SELECT w.name AS group_name,
       (SELECT min(g.group_name) FROM device_groups AS g WHERE lower(g.group_name) = lower(w.name)) AS similar
     FROM jsonb_array_elements_text(:groups::jsonb) WITH ORDINALITY AS w(name, n)
     WHERE NOT EXISTS (SELECT FROM device_groups AS g WHERE g.group_name = w.name) ORDER BY w.n`,
    { groups },
  );
}

/** The given ids that are not registered devices; at most ten of them. */
export async function findUnknownDevices(sql: Sql, deviceIds: readonly DeviceId[]): Promise<string[]> {
  const rows = await select(
    sql,
    z.strictObject({ id: ID.device }),
    `SELECT w.id FROM jsonb_array_elements_text(:ids::jsonb) AS w(id)
     LEFT JOIN devices AS d ON d.device_id = w.id WHERE d.device_id IS NULL ORDER BY w.id LIMIT 10`,
    { ids: deviceIds },
  );
  return rows.map(({ id }) => id);
}

/**
 * Adds devices to a group and removes others.
 * @returns the changed group
 */
export async function changeGroup(
  sql: Sql,
  group: string,
  { add, remove }: { readonly add: readonly string[]; readonly remove: readonly string[] },
  { by, now }: Actor,
): Promise<GroupRow> {
  await sql.query(
    `WITH removed AS (
       DELETE FROM device_groups WHERE group_name = :group_name
         AND device_id IN (SELECT jsonb_array_elements_text(:remove::jsonb))
       RETURNING device_id, group_name
     ), added AS (
       INSERT INTO device_groups (device_id, group_name)
       SELECT d.device_id, :group_name FROM devices AS d
       WHERE d.device_id IN (SELECT jsonb_array_elements_text(:add::jsonb))
       ORDER BY d.device_id
       ON CONFLICT DO NOTHING
       RETURNING device_id, group_name
     ), ${GROUP_CHANGES}
     ${INSERT_DEVICE_EVENT}`,
    { group_name: group, add, remove, by, now },
  );
  const [row] = await select(
    sql,
    groupRow,
    'SELECT :group_name AS group_name, count(*)::integer AS devices FROM device_groups WHERE group_name = :group_name',
    { group_name: group },
  );
  return row ?? { group_name: group, devices: 0 };
}
