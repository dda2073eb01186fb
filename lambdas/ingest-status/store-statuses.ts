import type { Sql } from '../../core/db/index.ts';
import { inBatches, writeApart } from '../../core/db/index.ts';
import { type DeviceReport, findConcerned, mergeReports, upsertDevices } from '../../core/devices/index.ts';
import { limitFloods, MOST_A_MINUTE } from '../../core/ingest/index.ts';
import {
  findOwedTo,
  judgeUpdates,
  oweUnconfirmedAgain,
  type Report,
  recordLateSuccesses,
  recordReports,
} from '../../core/updates/index.ts';

export interface Status {
  readonly receivedAt: Date;
  /** Names the message together with device and time: a second delivery is the same. */
  readonly payloadHash: string;
  readonly report: DeviceReport;
}

export interface StoredStatuses {
  /** Ids of updates that the devices just seen are owed and may be sent now. */
  readonly owed: readonly number[];
  /** Why the database takes nothing from a device, by device id. */
  readonly refused: ReadonlyMap<string, string>;
}

/** Devices that one statement writes: what it answers is small. */
const DEVICES_A_CALL = 1_000;

/** Statuses → devices; what they prove about running updates; what the devices just seen are owed. Can be repeated. */
export async function storeStatuses(sql: Sql, statuses: readonly Status[], now: Date): Promise<StoredStatuses> {
  const refused = new Map<string, string>();
  for (const round of apartByInstant(statuses)) {
    const outcome = await writeApart(mergeByDevice(round), async (batch) => {
      for (const rows of inBatches(batch, DEVICES_A_CALL)) await upsertDevices(sql, rows);
      return [];
    });
    for (const { row, error } of outcome.refused) refused.set(row.deviceId, `not storable: ${error.message}`);
  }
  const concerned = await findConcerned(sql, earliestSightings(statuses));
  const matters = (deviceId: string) => concerned.has(deviceId) && !refused.has(deviceId);
  await recordProofOfBoot(
    sql,
    statuses.filter(({ report }) => matters(report.deviceId)),
    now,
  );
  const awake = mergeByDevice(statuses).filter(({ deviceId, online }) => online && matters(deviceId));
  return { owed: await findOwed(sql, awake, now), refused };
}

function earliestSightings(statuses: readonly Status[]): { deviceId: string; receivedAt: Date }[] {
  const earliest = new Map<string, Date>();
  for (const { receivedAt, report } of statuses) {
    const known = earliest.get(report.deviceId);
    if (known === undefined || receivedAt < known) earliest.set(report.deviceId, receivedAt);
  }
  return [...earliest].map(([deviceId, receivedAt]) => ({ deviceId, receivedAt }));
}

/** Calls that what one device said in one instant may cost; what a flood says beyond them counts in any order. */
const MOST_ROUNDS = 4;

/**
 * The statuses in rounds, nearly always one, in none of which a device says two things in one instant: which of those
 * counts is the statement's to decide, as it is when they come in two batches.
 */
function apartByInstant(statuses: readonly Status[]): Status[][] {
  const rounds: Status[][] = Array.from({ length: MOST_ROUNDS }, () => []);
  /** By device and instant; of nearly all there is one. */
  const said = new Map<string, Status[]>();
  for (const status of statuses) {
    const instant = `${status.report.deviceId} ${status.receivedAt.getTime()}`;
    const others = said.get(instant);
    if (others?.some(({ payloadHash }) => payloadHash === status.payloadHash)) continue;
    rounds[Math.min(others?.length ?? 0, MOST_ROUNDS - 1)]?.push(status);
    if (others === undefined) said.set(instant, [status]);
    else others.push(status);
  }
  return rounds.filter((round) => round.length > 0);
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
async function recordProofOfBoot(sql: Sql, statuses: readonly Status[], now: Date): Promise<void> {
  const proofs = statuses.filter(({ report }) => report.version !== null && report.online);
  const { taken } = limitFloods(proofs, MOST_A_MINUTE.statuses, ({ report }) => report.deviceId);
  const reports = taken.map(toReport);
  for (const batch of inBatches(reports)) await judgeUpdates(sql, await recordReports(sql, batch), now);
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

/** What the devices just seen are owed, with what they slept through. */
async function findOwed(sql: Sql, awake: readonly DeviceReport[], now: Date): Promise<number[]> {
  if (awake.length === 0) return [];
  const sightings = awake.map(({ deviceId, reachabilityReceivedAt: receivedAt }) => ({ deviceId, receivedAt }));
  await oweUnconfirmedAgain(sql, sightings, now);
  const deviceIds = awake.map(({ deviceId }) => deviceId);
  await recordLateSuccesses(sql, deviceIds, now);
  return findOwedTo(sql, deviceIds, now);
}
