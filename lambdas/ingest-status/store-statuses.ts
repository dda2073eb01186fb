import type { Sql } from '../../core/db/index.ts';
import { inBatches, writeIsolatingBadRows } from '../../core/db/index.ts';
import {
  type DeviceReport,
  findDevicesWithRelevantUpdates,
  mergeReports,
  type Sighting,
  upsertDevices,
} from '../../core/devices/index.ts';
import { limitPerMinute, MAX_PER_MINUTE, type RuleMessage } from '../../core/ingest/index.ts';
import {
  evaluateUpdates,
  findPendingForDevices,
  oldestOf,
  type Report,
  recordLateRollbacks,
  recordLateSuccesses,
  recordReports,
  requeueIgnored,
  requeueUnacknowledged,
} from '../../core/updates/index.ts';
import type { DeviceId, UpdateId } from '../../core/util/index.ts';
import type { ParsedStatus } from './status-message.ts';

/** The parts of a status message that are stored. */
export type Status = Pick<RuleMessage, 'receivedAt' | 'payloadHash'> & Pick<ParsedStatus, 'report'>;

export interface StoredStatuses {
  /** Ids of pending updates of the reporting devices that may be sent now. */
  readonly pending: readonly UpdateId[];
  /** Why the database refused a device's status, by device id. */
  readonly refused: ReadonlyMap<string, string>;
}

/** Devices per statement, whose result is small. */
const DEVICES_PER_CALL = 1_000;

/**
 * Stores statuses, evaluates the updates that they are evidence for, and finds pending updates of the reporting
 * devices. Can be repeated.
 */
export async function storeStatuses(sql: Sql, statuses: readonly Status[], now: Date): Promise<StoredStatuses> {
  const refused = new Map<string, string>();
  for (const part of splitByCertificate(statuses).flatMap(splitSameInstant)) {
    const outcome = await writeIsolatingBadRows(mergeByDevice(part), async (batch) => {
      for (const rows of inBatches(batch, DEVICES_PER_CALL)) await upsertDevices(sql, rows);
      return [];
    });
    for (const { row, error } of outcome.refused) refused.set(row.deviceId, `not storable: ${error.message}`);
  }
  const relevant = await findDevicesWithRelevantUpdates(sql, earliestSightings(statuses));
  const hasRelevantUpdate = (deviceId: DeviceId) => relevant.has(deviceId) && !refused.has(deviceId);
  await recordBootEvidence(
    sql,
    statuses.filter(({ report }) => hasRelevantUpdate(report.deviceId)),
  );
  const awake = mergeByDevice(statuses).filter(({ deviceId, online }) => online && hasRelevantUpdate(deviceId));
  return { pending: await findPending(sql, awake, now), refused };
}

function earliestSightings(statuses: readonly Status[]): Sighting[] {
  const earliest = new Map<string, Sighting>();
  for (const { receivedAt, report } of statuses) {
    const known = earliest.get(report.deviceId);
    const first = known === undefined || receivedAt < known.receivedAt ? receivedAt : known.receivedAt;
    // Any version of the batch that is not the proven one makes the device relevant.
    const version = report.version ?? known?.version ?? null;
    earliest.set(report.deviceId, { deviceId: report.deviceId, receivedAt: first, version });
  }
  return [...earliest.values()];
}

/**
 * Maximum parts of a batch. Further statuses of one device with the same receive time go into the last part, in any
 * order.
 */
const MAX_SPLITS = 4;

/**
 * Splits the batch so that no part has statuses of one device with two certificates, of which a merged report would keep
 * one. Nearly always there is one part.
 */
function splitByCertificate(statuses: readonly Status[]): Status[][] {
  const parts: Status[][] = Array.from({ length: MAX_SPLITS }, () => []);
  const seen = new Map<string, string[]>();
  for (const status of statuses) {
    const { deviceId, certificateId } = status.report;
    const known = seen.get(deviceId) ?? [];
    if (certificateId && !known.includes(certificateId)) seen.set(deviceId, [...known, certificateId]);
    const part = certificateId ? (seen.get(deviceId)?.indexOf(certificateId) ?? 0) : 0;
    parts[Math.min(part, MAX_SPLITS - 1)]?.push(status);
  }
  return parts.filter((part) => part.length > 0);
}

/**
 * Splits the batch so that no part has two statuses of one device with the same receive time; upsertDevices breaks such
 * ties, as it does for statuses in separate batches.
 */
function splitSameInstant(statuses: readonly Status[]): Status[][] {
  const parts: Status[][] = Array.from({ length: MAX_SPLITS }, () => []);
  /** Statuses by device and receive time; nearly always one. */
  const seen = new Map<string, Status[]>();
  for (const status of statuses) {
    const instant = `${status.report.deviceId} ${status.receivedAt.getTime()}`;
    const others = seen.get(instant);
    if (others?.some(({ payloadHash }) => payloadHash === status.payloadHash)) continue;
    parts[Math.min(others?.length ?? 0, MAX_SPLITS - 1)]?.push(status);
    if (others === undefined) seen.set(instant, [status]);
    else others.push(status);
  }
  return parts.filter((part) => part.length > 0);
}

function mergeByDevice(statuses: readonly Status[]): DeviceReport[] {
  const merged = new Map<string, DeviceReport>();
  for (const { report } of statuses) {
    const known = merged.get(report.deviceId);
    merged.set(report.deviceId, known === undefined ? report : mergeReports(known, report));
  }
  return [...merged.values()];
}

/**
 * Records statuses that name a version as evidence of the running version, up to the rate limit, and evaluates the
 * updates.
 */
async function recordBootEvidence(sql: Sql, statuses: readonly Status[]): Promise<void> {
  const evidence = statuses.filter(({ report }) => report.version !== null && report.online);
  const { taken } = limitPerMinute(evidence, MAX_PER_MINUTE.statuses, ({ report }) => report.deviceId);
  const reports = taken.map(toReport);
  for (const batch of inBatches(reports)) {
    await evaluateUpdates(sql, await recordReports(sql, batch), oldestOf(statuses));
  }
}

const toReport = ({ receivedAt, payloadHash, report }: Status): Report => ({
  deviceId: report.deviceId,
  type: 'status',
  receivedAt,
  payloadHash,
  payload: { version: report.version, uptimeSeconds: report.uptimeSeconds },
  version: report.version,
  state: null,
});

/** Finds pending updates of the reporting devices, including commands that they missed while asleep. */
async function findPending(sql: Sql, awake: readonly DeviceReport[], now: Date): Promise<UpdateId[]> {
  if (awake.length === 0) return [];
  const sightings = awake.map(({ deviceId, reachabilityReceivedAt: receivedAt }) => ({ deviceId, receivedAt }));
  await requeueUnacknowledged(sql, sightings, now);
  await requeueIgnored(sql, sightings, now);
  const deviceIds = awake.map(({ deviceId }) => deviceId);
  await recordLateSuccesses(sql, deviceIds, now);
  await recordLateRollbacks(sql, deviceIds, now);
  return findPendingForDevices(sql, deviceIds, now);
}
