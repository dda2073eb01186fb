import type { Sql } from '../../core/db/index.ts';
import { inBatches, writeIsolatingBadRows } from '../../core/db/index.ts';
import {
  type DeviceReport,
  findDevicesWithRelevantUpdates,
  mergeReports,
  upsertDevices,
} from '../../core/devices/index.ts';
import { limitPerMinute, MAX_PER_MINUTE } from '../../core/ingest/index.ts';
import {
  evaluateUpdates,
  findPendingForDevices,
  type Report,
  recordLateSuccesses,
  recordReports,
  requeueUnacknowledged,
} from '../../core/updates/index.ts';

export interface Status {
  readonly receivedAt: Date;
  /** Names the message together with device and time: a second delivery is the same. */
  readonly payloadHash: string;
  readonly report: DeviceReport;
}

export interface StoredStatuses {
  /** Ids of updates that the devices just seen are pending and may be sent now. */
  readonly pending: readonly number[];
  /** Why the database takes nothing from a device, by device id. */
  readonly refused: ReadonlyMap<string, string>;
}

/** Devices that one statement writes: what it answers is small. */
const DEVICES_PER_CALL = 1_000;

/** Statuses → devices; what they prove about running updates; what the devices just seen are pending. Can be repeated. */
export async function storeStatuses(sql: Sql, statuses: readonly Status[], now: Date): Promise<StoredStatuses> {
  const refused = new Map<string, string>();
  for (const part of splitSameInstant(statuses)) {
    const outcome = await writeIsolatingBadRows(mergeByDevice(part), async (batch) => {
      for (const rows of inBatches(batch, DEVICES_PER_CALL)) await upsertDevices(sql, rows);
      return [];
    });
    for (const { row, error } of outcome.refused) refused.set(row.deviceId, `not storable: ${error.message}`);
  }
  const relevant = await findDevicesWithRelevantUpdates(sql, earliestSightings(statuses));
  const hasRelevantUpdate = (deviceId: string) => relevant.has(deviceId) && !refused.has(deviceId);
  await recordBootEvidence(
    sql,
    statuses.filter(({ report }) => hasRelevantUpdate(report.deviceId)),
    now,
  );
  const awake = mergeByDevice(statuses).filter(({ deviceId, online }) => online && hasRelevantUpdate(deviceId));
  return { pending: await findPending(sql, awake, now), refused };
}

function earliestSightings(statuses: readonly Status[]): { deviceId: string; receivedAt: Date }[] {
  const earliest = new Map<string, Date>();
  for (const { receivedAt, report } of statuses) {
    const known = earliest.get(report.deviceId);
    if (known === undefined || receivedAt < known) earliest.set(report.deviceId, receivedAt);
  }
  return [...earliest].map(([deviceId, receivedAt]) => ({ deviceId, receivedAt }));
}

/** Calls that what one device seen in one instant may cost; what a flood says beyond them counts in any order. */
const MAX_SPLITS = 4;

/**
 * The statuses in parts, nearly always one, in none of which a device says two things in one instant: which of those
 * counts is the statement's to decide, as it is when they come in two batches.
 */
function splitSameInstant(statuses: readonly Status[]): Status[][] {
  const parts: Status[][] = Array.from({ length: MAX_SPLITS }, () => []);
  /** By device and instant; of nearly all there is one. */
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

/** A status that names a version is evidence of what runs, for devices with an update under way; a flood of them is not. */
async function recordBootEvidence(sql: Sql, statuses: readonly Status[], now: Date): Promise<void> {
  const evidence = statuses.filter(({ report }) => report.version !== null && report.online);
  const sources = evidence.map((status) => ({ ...status.report, topic: status.report.deviceId, ...status }));
  const reports = limitPerMinute(sources, MAX_PER_MINUTE.statuses).taken.map(toReport);
  for (const batch of inBatches(reports)) await evaluateUpdates(sql, await recordReports(sql, batch), now);
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

/** What the devices just seen are pending, with what they slept through. */
async function findPending(sql: Sql, awake: readonly DeviceReport[], now: Date): Promise<number[]> {
  if (awake.length === 0) return [];
  const sightings = awake.map(({ deviceId, reachabilityReceivedAt: receivedAt }) => ({ deviceId, receivedAt }));
  await requeueUnacknowledged(sql, sightings, now);
  const deviceIds = awake.map(({ deviceId }) => deviceId);
  await recordLateSuccesses(sql, deviceIds, now);
  return findPendingForDevices(sql, deviceIds, now);
}
