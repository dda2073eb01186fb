import * as z from 'zod';
import { type Sql, select } from '../db/index.ts';
import { FAILED_LIST } from '../policy/index.ts';
import { type CommandFamily, type FactValue, KNOWN_FACT_NAMES, MAX_STORED_FACTS } from '../protocol/index.ts';
import { type DeviceId, ID } from '../util/index.ts';

/**
 * The content of one or more messages of one device. A field that no message stated is null. Each field has the
 * broker's receive time, so that the newest value wins in any order of processing.
 */
export interface DeviceReport {
  readonly deviceId: DeviceId;
  readonly clientId: string | null;
  /** Id of the certificate that it was published with; null or undefined if that is not known. */
  readonly certificateId?: string | null | undefined;
  readonly macAddress: string | null;
  readonly macReceivedAt: Date | null;
  readonly model: string | null;
  readonly modelReceivedAt: Date | null;
  readonly version: string | null;
  readonly versionReceivedAt: Date | null;
  readonly online: boolean;
  readonly reachabilityReceivedAt: Date;
  /** Null for a last will, which the broker sends and not the device. */
  readonly lastSeen: Date | null;
  readonly uptimeSeconds: number | null;
  readonly signalStrengthDbm: number | null;
  /** The whole status as it was received; null for a last will. */
  readonly status: object | null;
  /** What the device states about itself, by the names of the facts; undefined: nothing. */
  readonly facts?: Readonly<Record<string, StatedFact>> | undefined;
  /** What could not be read of the status; null or undefined if it was read whole. */
  readonly statusFault?: string | null | undefined;
  /** Of several statuses that were merged; undefined for one. */
  readonly merged?: MergedStatuses | undefined;
}

/** A fact and the receive time of the message that stated it. */
export interface StatedFact {
  readonly value: FactValue;
  readonly at: Date;
}

/** Statuses of one device that were merged into one report. */
interface MergedStatuses {
  readonly reports: number;
  /** Restarts that their uptimes show. */
  readonly restarts: number;
  /** Seconds from the first to the last. */
  readonly seconds: number;
}

/** Two boot times that differ by less are of one boot: uptimes are whole seconds, and messages take time. */
const ONE_BOOT_SECONDS = 15;

/** Two reports of one device, of different instants, as one: each field from the later message that says it. */
export function mergeReports(a: DeviceReport, b: DeviceReport): DeviceReport {
  const [older, newer] = a.reachabilityReceivedAt <= b.reachabilityReceivedAt ? [a, b] : [b, a];
  const mac = later(older.macReceivedAt, newer.macReceivedAt) ? newer : older;
  const model = later(older.modelReceivedAt, newer.modelReceivedAt) ? newer : older;
  const version = later(older.versionReceivedAt, newer.versionReceivedAt) ? newer : older;
  const seen = later(older.lastSeen, newer.lastSeen) ? newer : older;
  return {
    deviceId: a.deviceId,
    clientId: newer.clientId ?? older.clientId,
    certificateId: newer.certificateId ?? older.certificateId,
    macAddress: mac.macAddress,
    macReceivedAt: mac.macReceivedAt,
    model: model.model,
    modelReceivedAt: model.modelReceivedAt,
    version: version.version,
    versionReceivedAt: version.versionReceivedAt,
    online: newer.online,
    reachabilityReceivedAt: newer.reachabilityReceivedAt,
    lastSeen: seen.lastSeen,
    uptimeSeconds: seen.uptimeSeconds,
    signalStrengthDbm: seen.signalStrengthDbm,
    status: seen.status,
    statusFault: seen.statusFault,
    facts: mergeFacts(older.facts ?? {}, newer.facts ?? {}),
    merged: mergeStatuses(older, newer),
  };
}

/** Each fact from the later message that states it. */
function mergeFacts(older: Readonly<Record<string, StatedFact>>, newer: Readonly<Record<string, StatedFact>>) {
  const kept = Object.entries(older).filter(([name, { at }]) => {
    const other = Object.hasOwn(newer, name) ? newer[name] : undefined;
    return other === undefined || other.at < at;
  });
  return { ...newer, ...Object.fromEntries(kept) };
}

function mergeStatuses(older: DeviceReport, newer: DeviceReport): MergedStatuses | undefined {
  if (older.lastSeen === null || newer.lastSeen === null) return older.merged ?? newer.merged;
  const { lastSeen: until, uptimeSeconds } = newer;
  const between = (until.getTime() - older.lastSeen.getTime()) / 1000 - (newer.merged?.seconds ?? 0);
  const isRestart = newer.merged === undefined && uptimeSeconds !== null && uptimeSeconds < between - ONE_BOOT_SECONDS;
  return {
    reports: (older.merged?.reports ?? 1) + (newer.merged?.reports ?? 1),
    restarts: (older.merged?.restarts ?? 0) + (newer.merged?.restarts ?? 0) + Number(isRestart),
    seconds: (older.merged?.seconds ?? 0) + between + (newer.merged?.seconds ?? 0),
  };
}

const later = (a: Date | null, b: Date | null): boolean => b !== null && (a === null || b >= a);

/**
 * True if the certificate of the message takes the place of the stored one: it is newer, or the stored one has been
 * checked. The certificate that was checked last takes no place, so that a copy of it cannot hide another one until the
 * orchestrator looks.
 */
const IS_OTHER_CERTIFICATE = `excluded.certificate_id <> coalesce(d.checked_certificate_id, '')
           AND (d.certificate_id = d.checked_certificate_id
             OR excluded.reachability_received_at >= coalesce(d.reachability_received_at, '-infinity'))`;

/** Statuses that `excluded` stands for. */
const REPORTS = `(1 + coalesce(excluded.observed_seconds / nullif(excluded.report_interval_seconds, 0), 0))`;

/** Mean time between the statuses of `excluded`, counted from the stored status on. */
const SAMPLE = `(extract(epoch FROM excluded.last_seen - d.last_seen) / ${REPORTS})::real`;

/**
 * The estimate after another sample. It rises to twice its value at most, so that one absence is not taken for a habit,
 * and falls by an eighth of the difference, so that bursts of reports do not hide the pauses between them.
 */
const NEXT_INTERVAL = `CASE
           WHEN d.report_interval_seconds IS NULL THEN ${SAMPLE}
           WHEN ${SAMPLE} > d.report_interval_seconds
             THEN least(${SAMPLE}, 2 * greatest(d.report_interval_seconds, 1))
           ELSE d.report_interval_seconds + (${SAMPLE} - d.report_interval_seconds) / 8 END`;

const IS_NEW_VERSION = `excluded.version_received_at > coalesce(d.version_received_at, '-infinity')
           AND excluded.current_firmware_version <> d.current_firmware_version`;

/**
 * Restarts since the stored status. An uptime shows whether the device has booted since. Without one, a return after a
 * last will counts, and statuses that come after less than half the usual time, in excess of the usual number: a device
 * reports when it connects. A device that names deep sleep as the reason of its reset has not crashed.
 */
const RESTARTS = `CASE
           WHEN excluded.last_status ->> 'reset_reason' ~* 'deep|^8$' THEN 0
           WHEN excluded.uptime_seconds IS NOT NULL THEN greatest(excluded.restarts, (excluded.uptime_seconds
             + ${ONE_BOOT_SECONDS} < extract(epoch FROM excluded.last_seen - d.last_seen))::integer)
           WHEN d.uptime_seconds IS NOT NULL THEN 0
           ELSE greatest((NOT d.online)::integer, CASE WHEN ${SAMPLE} < d.report_interval_seconds / 2
             THEN round(${REPORTS} - extract(epoch FROM excluded.last_seen - d.last_seen)
               / d.report_interval_seconds)::integer ELSE 0 END) END`;

/** The MAC address that the device reported last; it is stored as reported_mac while another one is pinned. */
const REPORTED_MAC = `CASE
           WHEN d.mac_address IS NULL THEN excluded.reported_mac
           WHEN (excluded.mac_received_at, excluded.mac_address)
             > (coalesce(d.mac_received_at, '-infinity'), coalesce(d.reported_mac, d.mac_address))
           THEN excluded.mac_address ELSE coalesce(d.reported_mac, d.mac_address) END`;

/** The model that the device reported last. */
const REPORTED_MODEL = `CASE
           WHEN (excluded.model_received_at, excluded.device_model)
             > (coalesce(d.model_received_at, '-infinity'), coalesce(d.reported_model, d.device_model))
           THEN excluded.device_model ELSE coalesce(d.reported_model, d.device_model) END`;

/** True if the stored model is assumed and one is stated now: an assumed model pins nothing. */
const STATES_FIRST_MODEL = '(d.model_is_assumed AND excluded.model_received_at IS NOT NULL)';

const NEXT_REPORTED_MAC = `nullif(${REPORTED_MAC}, d.mac_address)`;

const NEXT_REPORTED_MODEL = `CASE WHEN ${STATES_FIRST_MODEL} THEN excluded.reported_model
         ELSE nullif(${REPORTED_MODEL}, d.device_model) END`;

const NAMES_OF_KNOWN = KNOWN_FACT_NAMES.map((name) => `'${name}'`).join(', ');

/**
 * Each fact from the newest message that stated it, up to the maximum. A fact that a message does not state is kept: firmware
 * may state the size of its slot at its start only.
 * @param of the stored facts or their times
 */
const nextFacts = (of: 'value' | 'at') => `CASE
         WHEN excluded.facts = '{}' THEN d.${of === 'value' ? 'facts' : 'fact_times'}
         ELSE (SELECT jsonb_object_agg(f.name, f.${of}) FROM (
           SELECT newest.* FROM (
             SELECT DISTINCT ON (stated.name) stated.* FROM (
               SELECT o.key AS name, o.value, d.fact_times -> o.key AS at FROM jsonb_each(d.facts) AS o
               UNION ALL
               SELECT n.key, n.value, excluded.fact_times -> n.key FROM jsonb_each(excluded.facts) AS n) AS stated
             ORDER BY stated.name, stated.at DESC NULLS LAST, stated.value DESC) AS newest
           ORDER BY newest.name IN (${NAMES_OF_KNOWN}) DESC, newest.at DESC, newest.name LIMIT ${MAX_STORED_FACTS}) AS f) END`;

/**
 * The messages of `:rows`. The entry of a device in the list of expected ones states its model and MAC address before the
 * device does, until these are known.
 */
const STATED_ROWS = `SELECT r.device_id, r.client_id, r.certificate_id, coalesce(a.mac_address, r.mac_address) AS mac_address,
       CASE WHEN a.mac_address <> r.mac_address THEN r.mac_address END AS reported_mac,
       coalesce(r.mac_received_at, CASE WHEN a.mac_address IS NOT NULL THEN r.reachability_received_at END) AS mac_received_at,
       coalesce(a.device_model, r.device_model) AS device_model,
       CASE WHEN a.device_model <> r.device_model THEN r.device_model END AS reported_model,
       coalesce(r.model_received_at, CASE WHEN a.device_model IS NOT NULL THEN r.reachability_received_at END) AS model_received_at,
       r.version, r.version_received_at, r.online, r.reachability_received_at, r.last_seen, r.uptime_seconds,
       r.signal_strength_dbm, r.last_status, r.status_fault, r.facts, r.fact_times, r.reports, r.restarts, r.seconds
     FROM jsonb_to_recordset(:rows::jsonb) AS r(device_id text, client_id text, certificate_id text, mac_address text,
       mac_received_at timestamptz, device_model text, model_received_at timestamptz, version text,
       version_received_at timestamptz, online boolean, reachability_received_at timestamptz, last_seen timestamptz,
       uptime_seconds bigint, signal_strength_dbm integer, last_status jsonb, status_fault text, facts jsonb, fact_times jsonb, reports integer,
       restarts integer, seconds bigint)
     LEFT JOIN allowed_devices AS a ON a.device_id = r.device_id
       AND NOT EXISTS (SELECT FROM devices AS known WHERE known.device_id = r.device_id AND NOT known.model_is_assumed)`;

/**
 * Inserts new devices and updates known ones, one row per device. Rows are written in the order of their ids, so that
 * two writers lock them in the same order and cannot deadlock. Ties on receive time are broken deterministically: the
 * larger value wins; offline wins over online. The first model and MAC address that are stated are pinned; others that the
 * device reports are stored beside them until an operator accepts them.
 */
export async function upsertDevices(sql: Sql, reports: readonly DeviceReport[]): Promise<{ device_id: DeviceId }[]> {
  const rows = reports.map((r) => ({
    device_id: r.deviceId,
    client_id: r.clientId,
    certificate_id: r.certificateId ?? null,
    mac_address: r.macAddress,
    mac_received_at: r.macReceivedAt,
    device_model: r.model,
    model_received_at: r.modelReceivedAt,
    version: r.version,
    version_received_at: r.versionReceivedAt,
    online: r.online,
    reachability_received_at: r.reachabilityReceivedAt,
    last_seen: r.lastSeen,
    uptime_seconds: r.uptimeSeconds,
    signal_strength_dbm: r.signalStrengthDbm,
    last_status: r.status,
    status_fault: r.statusFault ?? null,
    facts: factsOf(r, ({ value }) => value),
    // Milliseconds, so that times compare as numbers.
    fact_times: factsOf(r, ({ at }) => at.getTime()),
    reports: r.merged?.reports ?? 1,
    restarts: r.merged?.restarts ?? 0,
    seconds: Math.round(r.merged?.seconds ?? 0),
  }));
  return select(
    sql,
    z.strictObject({ device_id: ID.device }),
    `INSERT INTO devices AS d (device_id, client_id, certificate_id, mac_address, reported_mac, mac_received_at, device_model,
       reported_model, model_received_at, identity_changed_at, current_firmware_version, version_received_at, online, reachability_received_at, last_seen, registered_at,
       uptime_seconds, signal_strength_dbm, last_status, status_fault, facts, fact_times, report_interval_seconds, restarts,
       observed_seconds)
     SELECT device_id, client_id, certificate_id, mac_address, reported_mac, mac_received_at, coalesce(device_model, 'esp32-s3'),
       reported_model, model_received_at,
       CASE WHEN reported_model IS NOT NULL OR reported_mac IS NOT NULL THEN reachability_received_at END,
       coalesce(version, 'unknown'), version_received_at, online, reachability_received_at, last_seen,
       reachability_received_at, uptime_seconds, signal_strength_dbm, coalesce(last_status, '{}'), status_fault,
       facts, fact_times, seconds::real / nullif(reports - 1, 0), restarts, seconds
     FROM (${STATED_ROWS}) AS r
     ORDER BY device_id
     ON CONFLICT (device_id) DO UPDATE SET
       mac_address = coalesce(d.mac_address, excluded.mac_address),
       reported_mac = ${NEXT_REPORTED_MAC},
       mac_received_at = greatest(d.mac_received_at, excluded.mac_received_at),
       device_model = CASE WHEN ${STATES_FIRST_MODEL} THEN excluded.device_model ELSE d.device_model END,
       reported_model = ${NEXT_REPORTED_MODEL},
       identity_changed_at = CASE
         WHEN ${NEXT_REPORTED_MAC} IS NULL AND (${NEXT_REPORTED_MODEL}) IS NULL THEN NULL
         ELSE coalesce(d.identity_changed_at, excluded.reachability_received_at) END,
       model_received_at = greatest(d.model_received_at, excluded.model_received_at),
       current_firmware_version = CASE WHEN (excluded.version_received_at, excluded.current_firmware_version)
           > (coalesce(d.version_received_at, '-infinity'), d.current_firmware_version)
         THEN excluded.current_firmware_version ELSE d.current_firmware_version END,
       version_received_at = greatest(d.version_received_at, excluded.version_received_at),
       client_id = CASE WHEN (excluded.reachability_received_at, NOT excluded.online, coalesce(excluded.client_id, ''))
           >= (coalesce(d.reachability_received_at, '-infinity'), NOT d.online, coalesce(d.client_id, ''))
         THEN coalesce(excluded.client_id, d.client_id) ELSE d.client_id END,
       certificate_id = CASE WHEN ${IS_OTHER_CERTIFICATE} THEN excluded.certificate_id
         ELSE coalesce(d.certificate_id, excluded.certificate_id) END,
       online = CASE WHEN (excluded.reachability_received_at, NOT excluded.online)
           >= (coalesce(d.reachability_received_at, '-infinity'), NOT d.online)
         THEN excluded.online ELSE d.online END,
       reachability_received_at = greatest(d.reachability_received_at, excluded.reachability_received_at),
       registered_at = least(d.registered_at, excluded.registered_at),
       uptime_seconds = CASE WHEN (excluded.last_seen, excluded.last_status) > (coalesce(d.last_seen, '-infinity'), d.last_status)
         THEN excluded.uptime_seconds ELSE d.uptime_seconds END,
       signal_strength_dbm = CASE WHEN (excluded.last_seen, excluded.last_status) > (coalesce(d.last_seen, '-infinity'), d.last_status)
         THEN excluded.signal_strength_dbm ELSE d.signal_strength_dbm END,
       last_status = CASE WHEN (excluded.last_seen, excluded.last_status) > (coalesce(d.last_seen, '-infinity'), d.last_status)
         THEN excluded.last_status ELSE d.last_status END,
       status_fault = CASE WHEN (excluded.last_seen, excluded.last_status, coalesce(excluded.status_fault, ''))
           > (coalesce(d.last_seen, '-infinity'), d.last_status, coalesce(d.status_fault, ''))
         THEN excluded.status_fault ELSE d.status_fault END,
       facts = ${nextFacts('value')},
       fact_times = ${nextFacts('at')},
       report_interval_seconds = CASE WHEN excluded.last_seen > d.last_seen THEN ${NEXT_INTERVAL}
         ELSE d.report_interval_seconds END,
       restarts = CASE WHEN ${IS_NEW_VERSION} THEN 0 WHEN excluded.last_seen > d.last_seen
         THEN d.restarts + ${RESTARTS} ELSE d.restarts END,
       observed_seconds = CASE WHEN ${IS_NEW_VERSION} THEN 0 WHEN excluded.last_seen > d.last_seen
         THEN d.observed_seconds + extract(epoch FROM excluded.last_seen - d.last_seen)::bigint
         ELSE d.observed_seconds END,
       last_seen = greatest(d.last_seen, excluded.last_seen)
     RETURNING device_id`,
    { rows },
  );
}

const factsOf = <T>({ facts }: DeviceReport, part: (fact: StatedFact) => T): Record<string, T> =>
  Object.fromEntries(Object.entries(facts ?? {}).map(([name, fact]) => [name, part(fact)]));

/** Stores the topic family that each device last reported on. A device that is not registered yet is registered. */
export async function recordCommandFamilies(
  sql: Sql,
  sightings: readonly { deviceId: DeviceId; clientId: string | null; family: CommandFamily; receivedAt: Date }[],
): Promise<void> {
  await sql.query(
    `INSERT INTO devices AS d (device_id, client_id, command_family, family_received_at, registered_at)
     SELECT device_id, client_id, family, received_at, received_at
     FROM (
       SELECT DISTINCT ON (device_id) device_id, client_id, family, received_at
       FROM jsonb_to_recordset(:rows::jsonb) AS r(device_id text, client_id text, family text, received_at timestamptz)
       ORDER BY device_id, received_at DESC, family DESC
     ) AS newest
     ORDER BY device_id
     ON CONFLICT (device_id) DO UPDATE SET
       command_family = excluded.command_family,
       family_received_at = excluded.family_received_at
     WHERE (excluded.family_received_at, excluded.command_family)
       > (coalesce(d.family_received_at, '-infinity'), d.command_family)`,
    {
      rows: sightings.map(({ deviceId, clientId, family, receivedAt }) => ({
        device_id: deviceId,
        client_id: clientId,
        family,
        received_at: receivedAt,
      })),
    },
  );
}

/** Stores the topic family that each device subscribes to with a version. Null: it listens on both. */
export async function recordSubscribedFamilies(
  sql: Sql,
  answers: readonly { deviceId: DeviceId; version: string; family: CommandFamily | null }[],
  now: Date,
): Promise<void> {
  if (answers.length === 0) return;
  await sql.query(
    `UPDATE devices AS d SET family_asked_version = a.version,
       command_family = coalesce(a.family, d.command_family),
       family_received_at = CASE WHEN a.family IS NULL THEN d.family_received_at ELSE :now::timestamptz END
     FROM jsonb_to_recordset(:answers::jsonb) AS a("deviceId" text, version text, family text)
     WHERE d.device_id = a."deviceId"`,
    { answers, now },
  );
}

/** A status of a device, or the earliest of several. */
export interface Sighting {
  readonly deviceId: DeviceId;
  readonly receivedAt: Date;
  /** The version of its newest status; null where none names one. */
  readonly version: string | null;
}

/**
 * The devices to whose updates a status may matter: an update is open, or ended later than the status was received, or
 * failed and may have succeeded late, or the newest update was proven and the status names another version. Of a fleet
 * without rollouts these are few.
 */
export async function findDevicesWithRelevantUpdates(sql: Sql, sightings: readonly Sighting[]): Promise<Set<string>> {
  if (sightings.length === 0) return new Set();
  const rows = await select(
    sql,
    z.strictObject({ device_id: ID.device }),
    `SELECT s."deviceId" AS device_id
     FROM jsonb_to_recordset(:sightings::jsonb) AS s("deviceId" text, "receivedAt" timestamptz, version text)
     WHERE EXISTS (
       SELECT FROM device_update_status AS u
       WHERE u.device_id = s."deviceId" AND (u.completed_at IS NULL OR u.completed_at >= s."receivedAt"
         OR u.status IN ${FAILED_LIST} AND u.late_success_at IS NULL AND u.unverified_at IS NULL) OFFSET 0)
       OR s.version IS NOT NULL AND (
         SELECT ltrim(u.firmware_version, 'vV') <> ltrim(s.version, 'vV') AND u.late_rollback_at IS NULL
           AND u.rollout_id IS NOT NULL AND u.status = 'success'
         FROM device_update_status AS u WHERE u.device_id = s."deviceId" ORDER BY u.id DESC LIMIT 1)`,
    { sightings },
  );
  return new Set(rows.map(({ device_id: id }) => id));
}
