import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import type { ReportedState } from '../policy/index.ts';
import { type DeviceId, ID, sha256, type UpdateId } from '../util/index.ts';

/** What a device (or our own download endpoint, for `fetch`) says about an update. */
const REPORT_TYPES = ['accepted', 'declined', 'progress', 'result', 'fetch', 'status'] as const;
export type ReportType = (typeof REPORT_TYPES)[number];

export interface Report {
  readonly deviceId: DeviceId;
  readonly type: ReportType;
  readonly receivedAt: Date;
  /** Identifies the message together with device, type and receive time: a second delivery makes no second row. */
  readonly payloadHash: string;
  readonly payload: object;
  /** The version that the report names; null if it names none. */
  readonly version: string | null;
  readonly state: ReportedState | null;
}

const recordedReport = z.strictObject({
  device_id: ID.device,
  update_id: ID.update.nullable(),
  event_type: z.enum(REPORT_TYPES),
  received_at: z.date(),
  payload_hash: z.string(),
});
type RecordedReport = RowOf<typeof recordedReport>;

/**
 * Devices name no attempt, and the clocks of broker and database differ slightly: a report this much earlier than the
 * send still belongs to it.
 */
const CLOCK_TOLERANCE = '2 seconds';
/** How long messages are assigned to an update that the device started by itself. */
const UNSOLICITED_MINUTES = 30;

/**
 * Records reports, each once, under the attempt that it belongs to: the newest attempt of its device that was sent
 * before the report was received; for a fetch, the newest attempt of the update that the link names. An acceptance or a
 * result without such an attempt opens an unsolicited update.
 * @returns ids of the updates whose facts may have changed, including those of repeated deliveries
 */
export async function recordReports(sql: Sql, reports: readonly Report[]): Promise<UpdateId[]> {
  const recorded = await insertReports(sql, reports);
  const orphans = findOrphans(reports, recorded);
  const unsolicited = orphans.filter(({ type }) => type === 'accepted' || type === 'result');
  if (unsolicited.length === 0) return updateIds(recorded);
  await openUnsolicitedUpdates(sql, unsolicited);
  return updateIds([...recorded, ...(await insertReports(sql, orphans))]);
}

/** Reports that were recorded without an update. */
function findOrphans(reports: readonly Report[], recorded: readonly RecordedReport[]): Report[] {
  const key = (...parts: [string, ReportType, Date, string]) => JSON.stringify(parts);
  const orphaned = new Set(
    recorded
      .filter(({ update_id }) => update_id === null)
      .map((r) => key(r.device_id, r.event_type, r.received_at, r.payload_hash)),
  );
  return reports.filter((r) => orphaned.has(key(r.deviceId, r.type, r.receivedAt, r.payloadHash)));
}

const updateIds = (rows: readonly RecordedReport[]) => [...new Set(rows.flatMap(({ update_id: id }) => id ?? []))];

/** For this long after a command, a late report may still turn an earlier status into evidence. */
const LATE_REPORTS = '30 minutes';

/** Two boot times that differ by less are of one boot: uptimes are whole seconds, and messages take time. */
const ONE_BOOT = '15 seconds';

/**
 * Statuses `r` that prove nothing about the update `u`, and come every minute for as long as it is open: the old version
 * while a retry is pending; the new version on probation, where the uptime shows that the device has not restarted. A
 * status of the new version at the end of the probation is the proof.
 */
const IS_REDUNDANT_STATUS = `coalesce(u.status = 'pending' AND r.version = u.previous_version
       AND r.received_at > a.sent_at + interval '${LATE_REPORTS}'
       OR r.received_at > u.booted_at AND ltrim(r.version, 'vV') = ltrim(u.firmware_version, 'vV')
         AND r.received_at < u.booted_at + make_interval(mins => coalesce(c.probation_minutes, 0))
         AND (r.payload ->> 'uptimeSeconds')::bigint
           >= extract(epoch FROM r.received_at - u.booted_at - interval '${ONE_BOOT}'), false)`;

const insertStatement = (
  onConflict: string,
) => `INSERT INTO ota_events AS e (device_id, event_type, received_at, payload_hash, payload, state, rollout_id,
       update_id, attempt)
     SELECT DISTINCT ON (r.device_id, r.event_type, r.received_at, r.payload_hash)
       r.device_id, r.event_type, r.received_at, r.payload_hash, r.payload, r.state, u.rollout_id, a.update_id, a.attempt
     FROM jsonb_to_recordset(:rows::jsonb) AS r(device_id text, event_type text, received_at timestamptz,
       payload_hash text, payload jsonb, version text, state text)
     LEFT JOIN LATERAL (
       SELECT update_id, attempt, version, sent_at FROM update_attempts
       WHERE device_id = r.device_id AND sent_at <= r.received_at + interval '${CLOCK_TOLERANCE}'
         AND (r.event_type <> 'fetch' OR update_id = (r.payload ->> 'updateId')::bigint)
       ORDER BY sent_at DESC, update_id DESC LIMIT 1
     ) AS a ON r.event_type IN ('status', 'progress', 'fetch') OR r.version IS NULL OR r.version = a.version
     LEFT JOIN device_update_status AS u ON u.id = a.update_id
     LEFT JOIN rollout_configurations AS c ON c.id = u.rollout_id
     WHERE r.event_type <> 'status' OR u.id IS NOT NULL
       AND CASE WHEN u.completed_at IS NULL THEN NOT ${IS_REDUNDANT_STATUS} ELSE r.received_at <= u.completed_at END
     ORDER BY r.device_id, r.event_type, r.received_at, r.payload_hash
     ${onConflict}
     RETURNING device_id, update_id, event_type, received_at, payload_hash`;

/**
 * A repeated message rewrites its row, so that its update is returned again: the first delivery may have failed between
 * recording and evaluating.
 */
const RETURN_REPEATED = `ON CONFLICT ON CONSTRAINT ota_events_message_key DO UPDATE SET
       rollout_id = coalesce(e.rollout_id, excluded.rollout_id),
       update_id = coalesce(e.update_id, excluded.update_id),
       attempt = coalesce(e.attempt, excluded.attempt)`;

async function insertReports(sql: Sql, reports: readonly Report[]): Promise<RecordedReport[]> {
  if (reports.length === 0) return [];
  return select(sql, recordedReport, insertStatement(RETURN_REPEATED), { rows: reports.map(toRow) });
}

/** The opening of a link. */
export interface Fetch {
  readonly deviceId: DeviceId;
  readonly updateId: UpdateId;
  readonly attempt: number;
}

/**
 * Records that links were opened, once per link and instant.
 * @returns ids of the updates
 */
export async function recordFetches(sql: Sql, fetches: readonly Fetch[], now: Date): Promise<UpdateId[]> {
  if (fetches.length === 0) return [];
  const rows = fetches.map(({ deviceId, updateId, attempt }) =>
    toRow({
      deviceId,
      type: 'fetch',
      receivedAt: now,
      payloadHash: sha256(`fetch ${updateId} ${attempt}`),
      payload: { updateId, attempt },
      version: null,
      state: 'downloading',
    }),
  );
  return updateIds(await select(sql, recordedReport, insertStatement('ON CONFLICT DO NOTHING'), { rows }));
}

const toRow = ({ deviceId, type, receivedAt, payloadHash, payload, version, state }: Report) => ({
  device_id: deviceId,
  event_type: type,
  received_at: receivedAt,
  payload_hash: payloadHash,
  payload,
  version,
  state,
});

/**
 * Opens at most one unsolicited update per device and version; its attempt starts with the message that revealed it.
 */
async function openUnsolicitedUpdates(sql: Sql, reports: readonly Report[]): Promise<void> {
  await sql.query(
    `WITH opened AS (
       INSERT INTO device_update_status (device_id, firmware_version, previous_version, status, attempt, started_at,
         reported_at, sent_at, deadline_at)
       SELECT r.device_id, coalesce(r.version, 'unknown'), d.current_firmware_version, 'sent', 1, r.received_at,
         r.received_at, r.received_at, r.received_at + interval '${UNSOLICITED_MINUTES} minutes'
       FROM (
         SELECT DISTINCT ON (device_id) device_id, version, received_at
         FROM jsonb_to_recordset(:rows::jsonb) AS r(device_id text, version text, received_at timestamptz)
         ORDER BY device_id, received_at
       ) AS r
       JOIN devices AS d USING (device_id)
       WHERE NOT EXISTS (
         SELECT FROM device_update_status AS u
         WHERE u.device_id = r.device_id AND u.rollout_id IS NULL AND u.completed_at IS NULL
           AND u.firmware_version = coalesce(r.version, 'unknown'))
       RETURNING id, device_id, firmware_version, sent_at
     )
     INSERT INTO update_attempts (update_id, attempt, device_id, version, sent_at)
     SELECT id, 1, device_id, firmware_version, sent_at FROM opened`,
    { rows: reports.map(toRow) },
  );
}
