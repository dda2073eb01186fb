import * as z from 'zod';
import { type RowOf, readInPages, type Sql, select } from '../db/index.ts';
import type { PresenceAt } from './device-queries.ts';
import { IS_ONLINE, onlineValues } from './online.ts';

const versionCount = z.strictObject({
  device_model: z.string(),
  firmware_version: z.string(),
  devices: z.int(),
});
export type VersionCount = RowOf<typeof versionCount>;

/** Registered devices, without revoked ones. */
export async function countDevices(sql: Sql): Promise<number> {
  const [row] = await select(
    sql,
    z.strictObject({ devices: z.int() }),
    'SELECT coalesce(sum(devices), 0)::integer AS devices FROM version_counts',
  );
  return row?.devices ?? 0;
}

/** Revoked devices, which no other number of the fleet includes. */
export async function countRevoked(sql: Sql): Promise<number> {
  const [row] = await select(
    sql,
    z.strictObject({ devices: z.int() }),
    'SELECT count(*)::integer AS devices FROM devices WHERE revoked_at IS NOT NULL',
  );
  return row?.devices ?? 0;
}

const VERSIONS_PER_PAGE = 2_000;

/** The number of devices per model and version. */
export async function countVersions(sql: Sql): Promise<VersionCount[]> {
  return readInPages(
    (page) =>
      select(
        sql,
        versionCount,
        `SELECT device_model, firmware_version, sum(devices)::integer AS devices FROM version_counts
     GROUP BY device_model, firmware_version HAVING sum(devices) > 0
     ORDER BY device_model, devices DESC, firmware_version LIMIT :limit OFFSET :offset`,
        { ...page },
      ),
    VERSIONS_PER_PAGE,
  );
}

const seenCounts = z.strictObject({
  online: z.int(),
  last_hour: z.int(),
  last_day: z.int(),
  last_week: z.int(),
  /** True if the counts are an estimate from a sample of the devices. */
  is_estimate: z.boolean(),
});
export type SeenCounts = RowOf<typeof seenCounts>;

/** Larger fleets are counted from a sample of this many devices, because counting a million devices takes a second. */
const COUNTED_DEVICES = 50_000;

/** @param counted devices to examine; a larger fleet is sampled */
export async function countSeen(sql: Sql, at: PresenceAt, counted = COUNTED_DEVICES): Promise<SeenCounts> {
  const seen = (age: string) => `count(*) FILTER (WHERE last_seen > :now::timestamptz - interval '${age}')`;
  const [row] = await select(
    sql,
    seenCounts,
    `WITH fleet AS (
       SELECT sum(devices) AS devices, least(1, :counted::real / greatest(sum(devices), 1)) AS share FROM version_counts
     ), sample AS (
       -- SYSTEM samples whole pages, which makes it cheap.
       SELECT ${seen('1 hour')} AS last_hour, ${seen('1 day')} AS last_day, ${seen('7 days')} AS last_week,
         count(*) FILTER (WHERE ${IS_ONLINE}) AS online
       FROM devices AS d TABLESAMPLE SYSTEM ((SELECT 100 * share FROM fleet)) WHERE d.revoked_at IS NULL
     )
     SELECT least(round(last_hour / share), devices)::integer AS last_hour,
       least(round(last_day / share), devices)::integer AS last_day,
       least(round(last_week / share), devices)::integer AS last_week,
       least(round(online / share), devices)::integer AS online, share < 1 AS is_estimate
     FROM fleet, sample WHERE devices > 0`,
    { now: at.now, counted, ...onlineValues(at) },
  );
  return row ?? { online: 0, last_hour: 0, last_day: 0, last_week: 0, is_estimate: false };
}

/** Maximum steps of a series. */
const STEPS = 300;

/** The samples of the last hours, at most {@link STEPS} per series, oldest first. */
export async function listVersionHistory(
  sql: Sql,
  hours: number,
  now: Date,
): Promise<(VersionCount & { readonly at: Date })[]> {
  return select(
    sql,
    z.strictObject({ ...versionCount.shape, at: z.date() }),
    `SELECT * FROM (
     SELECT sampled_at AS at, device_model, firmware_version, devices FROM fleet_versions
     WHERE sampled_at IN (
       -- A sample counts every device once; mixing several would count some devices twice. The steps do not depend on
       -- the time of the query, so that past values do not change.
       SELECT max(sampled_at) FROM fleet_versions
       WHERE sampled_at > :now::timestamptz - make_interval(hours => :hours::integer)
       GROUP BY date_bin(:hours::integer * interval '1 hour' / ${STEPS}, sampled_at, timestamptz 'epoch'))
     -- If there are too many versions, the oldest samples are left out.
     ORDER BY at DESC, devices DESC LIMIT 5000) AS newest
     ORDER BY at, device_model, firmware_version`,
    { hours, now },
  );
}

const rejectedMessageRow = z.strictObject({
  id: z.int(),
  topic: z.string(),
  client_id: z.string().nullable(),
  reason: z.string(),
  payload: z.string(),
  payload_bytes: z.int(),
  received_at: z.date(),
});
export type RejectedMessageRow = RowOf<typeof rejectedMessageRow>;

/**
 * Rejected messages before an id, newest first. At most 40, so that their payloads stay under the Data API's limit of 1
 * MiB.
 */
export async function listRejectedMessages(
  sql: Sql,
  beforeId: number | null,
  limit: number,
): Promise<RejectedMessageRow[]> {
  return select(
    sql,
    rejectedMessageRow,
    `SELECT id, topic, client_id, reason, payload, payload_bytes, received_at FROM rejected_messages
     WHERE (:before::bigint IS NULL OR id < :before::bigint) ORDER BY id DESC LIMIT least(:limit::integer, 40)`,
    { before: beforeId, limit },
  );
}

const rejectionCounts = z.strictObject({
  rejected_messages: z.int(),
  rejected_uploads: z.int(),
});
export type RejectionCounts = RowOf<typeof rejectionCounts>;

/** The number of messages and uploads rejected in the last day. */
export async function countRejections(sql: Sql, now: Date): Promise<RejectionCounts> {
  const [row] = await select(
    sql,
    rejectionCounts,
    `SELECT (SELECT count(*)::integer FROM rejected_messages WHERE received_at > :since::timestamptz) AS rejected_messages,
       (SELECT count(*)::integer FROM rejected_uploads WHERE uploaded_at > :since::timestamptz) AS rejected_uploads`,
    { since: new Date(now.getTime() - 86_400_000) },
  );
  return row ?? { rejected_messages: 0, rejected_uploads: 0 };
}
