import * as z from 'zod';
import { anyJson, type RowOf, readInPages, type Sql, select } from '../db/index.ts';
import { UPDATE_STATES } from '../policy/index.ts';
import { COMMAND_FAMILIES, type Presence, presenceOf, type RecordingPause } from '../protocol/index.ts';
import { type DeviceId, ID } from '../util/index.ts';
import { INSERT_DEVICE_EVENT } from './device-audit.ts';
import { IS_ONLINE, onlineValues } from './online.ts';

interface ShownPresence {
  readonly online: boolean;
  readonly presence: Presence;
}

const deviceColumns = z.strictObject({
  device_id: ID.device,
  mac_address: z.string().nullable(),
  device_model: z.string(),
  model_is_assumed: z.boolean(),
  /** The model and MAC address that it reports now, where they differ and no operator has accepted them. */
  reported_model: z.string().nullable(),
  reported_mac: z.string().nullable(),
  identity_changed_at: z.date().nullable(),
  current_firmware_version: z.string(),
  last_seen: z.date().nullable(),
  registered_at: z.date(),
  signal_strength_dbm: z.int().nullable(),
  uptime_seconds: z.int().nullable(),
  groups: z.array(z.string()),
  revoked_at: z.date().nullable(),
  revoked_reason: z.string().nullable(),
  revoked_by: z.string().nullable(),
  metadata: anyJson<Record<string, string | number | boolean>>(),
  update: z
    .strictObject({
      rollout_name: z.string().nullable(),
      firmware_version: z.string(),
      status: z.enum(UPDATE_STATES),
      is_open: z.boolean(),
      progress_percent: z.int().nullable(),
      reason: z.string().nullable(),
      booted_at: z.string().nullable(),
      deadline_at: z.string().nullable(),
    })
    .nullable(),
});

/** A device as operators see it, with its groups and its newest update. */
export type DeviceRow = RowOf<typeof deviceColumns> & ShownPresence;

const deviceDetailColumns = z.strictObject({
  ...deviceColumns.shape,
  client_id: z.string().nullable(),
  command_family: z.enum(COMMAND_FAMILIES).nullable(),
  last_status: z.record(z.string(), z.unknown()),
  mac_shared_with: z.array(z.string()),
  status_fault: z.string().nullable(),
  /** The newest rejected message on a topic of the device. */
  rejected_message: z
    .strictObject({
      topic: z.string(),
      reason: z.string(),
      /** The first bytes, in base64. */
      payload: z.string(),
      received_at: z.string(),
    })
    .nullable(),
});
export type DeviceDetailRow = RowOf<typeof deviceDetailColumns> & ShownPresence;

export interface DeviceFilter {
  /** The start of an id, of the part after its last hyphen, or of a MAC address. */
  readonly search?: string | undefined;
  readonly model?: string | undefined;
  readonly version?: string | undefined;
  readonly group?: string | undefined;
  readonly online?: boolean | undefined;
  readonly updating?: boolean | undefined;
  readonly not_seen_since?: string | undefined;
}

/** Format of a timestamp in responses of the API. */
const ISO_TIME = `'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'`;

const COLUMNS = `o.device_id, o.mac_address, o.device_model, o.model_is_assumed, o.reported_model, o.reported_mac,
       o.identity_changed_at, o.current_firmware_version, o.last_seen, o.registered_at,
       o.signal_strength_dbm, o.uptime_seconds, o.metadata, o.revoked_at, o.revoked_reason, o.revoked_by,
       (SELECT coalesce(jsonb_agg(g.group_name ORDER BY g.group_name), '[]') FROM device_groups AS g
        WHERE g.device_id = o.device_id) AS groups,
       (SELECT jsonb_build_object('rollout_name', o.rollout_name, 'firmware_version', o.update_version,
          'status', o.update_status, 'is_open', o.is_updating, 'progress_percent', o.progress_percent,
          'reason', o.update_reason, 'booted_at', to_char(u.booted_at AT TIME ZONE 'UTC', ${ISO_TIME}),
          'deadline_at', to_char(u.deadline_at AT TIME ZONE 'UTC', ${ISO_TIME}))
        FROM device_update_status AS u WHERE u.id = o.update_id) AS update`;

/**
 * The SQL condition of each part of a filter on a device `d`. A statement contains only the given parts, so that the
 * planner can use their indexes.
 */
const CONDITIONS = {
  after: 'd.device_id > :after',
  search: `(lower(d.device_id) LIKE :search OR lower(regexp_replace(d.device_id, '^.*-', '')) LIKE :search
           OR d.mac_address LIKE :mac)`,
  model: 'd.device_model = :model',
  version: 'd.current_firmware_version = :version',
  online: `${IS_ONLINE} = :online`,
  // Compares the day first, because the index contains the day.
  not_seen_since: `(d.last_seen_day <= (:not_seen_since::timestamptz AT TIME ZONE 'UTC')::date OR d.last_seen_day IS NULL)
           AND (d.last_seen < :not_seen_since::timestamptz OR d.last_seen IS NULL)`,
  group: 'd.device_id IN (SELECT g.device_id FROM device_groups AS g WHERE g.group_name = :group)',
  updating: `d.device_id IN (
           SELECT u.device_id FROM device_update_status AS u WHERE u.completed_at IS NULL AND u.rollout_id IS NOT NULL)`,
  notUpdating: `NOT EXISTS (SELECT FROM device_update_status AS u
           WHERE u.device_id = d.device_id AND u.completed_at IS NULL AND u.rollout_id IS NOT NULL)`,
};

type Condition = keyof typeof CONDITIONS;
const CONDITION_NAMES = Object.keys(CONDITIONS) as Condition[];

const CONTACT = `jsonb_build_object('online', d.online, 'interval', d.report_interval_seconds,
         'told_at', to_char(d.reachability_received_at AT TIME ZONE 'UTC', ${ISO_TIME}),
         'reported_at', to_char(d.family_received_at AT TIME ZONE 'UTC', ${ISO_TIME})) AS contact`;

const contactColumns = z.strictObject({
  last_seen: z.date().nullable(),
  contact: z.strictObject({
    online: z.boolean(),
    interval: z.number().nullable(),
    told_at: z.string().nullable(),
    reported_at: z.string().nullable(),
  }),
});
type ContactColumns = RowOf<typeof contactColumns>;

/** When a presence is asked for, and the newest pause of recording. */
export interface PresenceAt {
  readonly now: Date;
  readonly pause: RecordingPause | null;
}

function withPresence<T extends ContactColumns>({ contact, ...row }: T, { now, pause }: PresenceAt) {
  const { online, interval, told_at: toldAt, reported_at: reportedAt } = contact;
  const presence = presenceOf(
    {
      online,
      last_seen: row.last_seen,
      report_interval_seconds: interval,
      reachability_received_at: toldAt === null ? null : new Date(toldAt),
      reported_at: reportedAt === null ? null : new Date(reportedAt),
    },
    pause,
    now,
  );
  return { ...row, online: presence.state === 'online', presence };
}

const listStatement = (
  conditions: readonly Condition[],
) => `SELECT ${COLUMNS}, page.contact FROM device_overview AS o JOIN (
       SELECT d.device_id, ${CONTACT} FROM devices AS d
       WHERE ${['true', ...conditions.map((name) => CONDITIONS[name])].join(' AND ')}
       ORDER BY d.device_id LIMIT :limit
     ) AS page USING (device_id)
     ORDER BY o.device_id`;

/** Devices after an id, in the order of their ids; at most `limit`. */
export async function listDevices(
  sql: Sql,
  filter: DeviceFilter,
  after: string | null,
  limit: number,
  at: PresenceAt,
): Promise<DeviceRow[]> {
  const { search, updating, ...rest } = filter;
  const values: Partial<Record<Condition, string | boolean | undefined>> = {
    ...rest,
    ...(after === null ? {} : { after }),
    ...(search === undefined ? {} : { search: `${escapeLike(search.toLowerCase())}%` }),
    ...(updating === undefined ? {} : { [updating ? 'updating' : 'notUpdating']: true }),
  };
  const given = CONDITION_NAMES.filter((name) => values[name] !== undefined);
  const mac = search === undefined ? {} : { mac: `${escapeLike(asMacPrefix(search))}%` };
  const named = given.filter((name) => name !== 'updating' && name !== 'notUpdating');
  const rows = await select(
    sql,
    z.strictObject({ ...deviceColumns.shape, ...contactColumns.shape }),
    listStatement(given),
    {
      ...Object.fromEntries(named.map((name) => [name, values[name] ?? null])),
      ...(given.includes('online') ? onlineValues(at) : {}),
      ...mac,
      limit,
    },
  );
  return rows.map((row) => withPresence(row, at));
}

/** Undefined if the device does not exist. */
export async function getDevice(sql: Sql, deviceId: DeviceId, at: PresenceAt): Promise<DeviceDetailRow | undefined> {
  const [row] = await select(
    sql,
    z.strictObject({ ...deviceDetailColumns.shape, ...contactColumns.shape }),
    `SELECT ${COLUMNS}, ${CONTACT}, d.client_id, d.command_family, d.last_status, d.status_fault,
       (SELECT coalesce(jsonb_agg(m.device_id), '[]') FROM (
          SELECT s.device_id FROM devices AS s WHERE s.mac_address = coalesce(d.reported_mac, d.mac_address) AND s.device_id <> d.device_id
          ORDER BY s.device_id LIMIT 5) AS m) AS mac_shared_with,
       (SELECT jsonb_build_object('topic', m.topic, 'reason', m.reason, 'payload', left(m.payload, 400),
          'received_at', to_char(m.received_at AT TIME ZONE 'UTC', ${ISO_TIME}))
        FROM rejected_messages AS m WHERE m.device_id = :device ORDER BY m.id DESC LIMIT 1) AS rejected_message
     FROM device_overview AS o JOIN devices AS d USING (device_id) WHERE o.device_id = :device`,
    { device: deviceId },
  );
  return row && withPresence(row, at);
}

const timelineRow = z.strictObject({
  at: z.date(),
  event: z.string(),
  rollout_id: ID.rollout.nullable(),
  update_id: ID.update.nullable(),
  attempt: z.int().nullable(),
  firmware_version: z.string().nullable(),
  detail: z.record(z.string(), z.unknown()),
});
export type TimelineRow = RowOf<typeof timelineRow>;

/** The order of events with the same timestamp: messages of a device often arrive together. */
const ATTEMPT_EVENT_ORDER = 'assigned sent accepted fetch progress result status attempt_ended ended';

/**
 * Events of a device before a point in time, newest first. All events of the last instant are included, even beyond the
 * limit.
 */
export async function deviceTimeline(
  sql: Sql,
  deviceId: DeviceId,
  before: string | null,
  limit: number,
): Promise<TimelineRow[]> {
  return select(
    sql,
    timelineRow,
    `SELECT * FROM (
       SELECT date_trunc('milliseconds', at) AS at, event, rollout_id, update_id, attempt, firmware_version, detail
       FROM device_timeline
       WHERE device_id = :device AND (:before::timestamptz IS NULL OR at < :before::timestamptz)
       ORDER BY 1 DESC FETCH FIRST (:limit) ROWS WITH TIES) AS page
     ORDER BY at DESC, update_id DESC, attempt DESC NULLS LAST, array_position(string_to_array(:order, ' '), event) DESC NULLS LAST, event`,
    { device: deviceId, before, limit, order: ATTEMPT_EVENT_ORDER },
  );
}

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

const escapeLike = (text: string) => text.replace(/[\\%_]/g, '\\$&');

/** `a0b7` and `a0-b7` both match addresses that start with `A0:B7`, which is how addresses are stored. */
function asMacPrefix(text: string): string {
  const digits = text.toUpperCase().replace(/[:-]/g, '');
  return /^[0-9A-F]+$/.test(digits) ? (digits.match(/.{1,2}/g) ?? []).join(':') : '-';
}
