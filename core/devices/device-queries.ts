import * as z from 'zod';
import { anyJson, type RowOf, type Sql, select } from '../db/index.ts';
import { type FactCondition, IS_WANTED_FACT, UPDATE_STATES } from '../policy/index.ts';
import { COMMAND_FAMILIES, type FactValue, type Presence, presenceOf, type RecordingPause } from '../protocol/index.ts';
import { type DeviceId, ID } from '../util/index.ts';
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
  facts: anyJson<Record<string, { readonly value: FactValue; readonly stated_at: string | null }>>(),
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
  /** An attribute that the device has. */
  readonly attribute?: Readonly<Record<string, string | number | boolean>> | undefined;
  /** A condition on a fact that the device states. */
  readonly fact?: Readonly<Record<string, FactCondition>> | undefined;
  readonly online?: boolean | undefined;
  readonly updating?: boolean | undefined;
  readonly revoked?: boolean | undefined;
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
  attribute: 'd.metadata @> :attribute::jsonb',
  fact: `EXISTS (SELECT FROM jsonb_each(:fact::jsonb) AS wanted WHERE ${IS_WANTED_FACT})`,
  revoked: 'd.revoked_at IS NOT NULL',
  notRevoked: 'd.revoked_at IS NULL',
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
  const { search, updating, revoked, ...rest } = filter;
  const values: Partial<Record<Condition, string | boolean | object | undefined>> = {
    ...rest,
    ...(after === null ? {} : { after }),
    ...(search === undefined ? {} : { search: `${escapeLike(search.toLowerCase())}%` }),
    ...(updating === undefined ? {} : { [updating ? 'updating' : 'notUpdating']: true }),
    ...(revoked === undefined ? {} : { [revoked ? 'revoked' : 'notRevoked']: true }),
  };
  const given = CONDITION_NAMES.filter((name) => values[name] !== undefined);
  const mac = search === undefined ? {} : { mac: `${escapeLike(asMacPrefix(search))}%` };
  const named = given.filter((name) => CONDITIONS[name].includes(`:${name}`));
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
       (SELECT coalesce(jsonb_object_agg(f.key, jsonb_build_object('value', f.value, 'stated_at',
          to_char(to_timestamp((d.fact_times ->> f.key)::bigint / 1000.0) AT TIME ZONE 'UTC', ${ISO_TIME}))), '{}')
        FROM jsonb_each(d.facts) AS f) AS facts,
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

const escapeLike = (text: string) => text.replace(/[\\%_]/g, '\\$&');

/** `a0b7` and `a0-b7` both match addresses that start with `A0:B7`, which is how addresses are stored. */
function asMacPrefix(text: string): string {
  const digits = text.toUpperCase().replace(/[:-]/g, '');
  return /^[0-9A-F]+$/.test(digits) ? (digits.match(/.{1,2}/g) ?? []).join(':') : '-';
}
