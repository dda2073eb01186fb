import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { inBatches, writeApart } from '../../core/batches.ts';
import type { Database } from '../../core/database.ts';
import { type DeviceReport, mergeReports, upsertDevices } from '../../core/devices.ts';
import { findOwedTo, oweUnconfirmedAgain } from '../../core/dispatching.ts';
import { ENV } from '../../core/env-names.ts';
import { judgeUpdates } from '../../core/judging.ts';
import { recordRejectedMessages } from '../../core/rejected-messages.ts';
import { type Report, recordReports } from '../../core/reports.ts';
import { decodeRuleMessage, type RejectedMessage, type RuleMessage, rejectMessage } from '../../core/rule-message.ts';
import { DEVICE_ID_SEGMENT } from '../../core/topics.ts';
import { openDatabase } from '../shared/database.ts';
import { requireEnv } from '../shared/environment.ts';
import { logger } from '../shared/log.ts';
import { enqueue } from '../shared/queue.ts';
import { readStatus } from './status-message.ts';

const database = openDatabase();
const dispatchQueueUrl = requireEnv(ENV.dispatchQueueUrl);

interface Status {
  readonly message: RuleMessage;
  readonly report: DeviceReport;
}

/**
 * Status messages → devices; what they prove about running updates; what the devices just seen are owed → dispatch.
 * An exception puts the whole batch back: every step can be repeated.
 */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  const now = new Date();
  const { statuses, rejected } = readBatch(event, now);
  const devices = mergeByDevice(statuses);
  const { refused } = await writeApart(devices, async (batch) => {
    for (const rows of inBatches(batch)) await upsertDevices(database, rows);
    return [];
  });
  const refusedReasons = new Map(refused.map(({ row, error }) => [row.deviceId, `not storable: ${error.message}`]));
  for (const { message } of statuses) {
    const reason = refusedReasons.get(message.deviceId);
    if (reason !== undefined) rejected.push(rejectMessage(message, reason));
  }
  await recordRejectedMessages(database, rejected);

  const stored = statuses.filter(({ report }) => !refusedReasons.has(report.deviceId));
  await recordProofOfBoot(database, stored, now);
  const awake = devices.filter(({ deviceId, online }) => online && !refusedReasons.has(deviceId));
  const owed = await findOwed(awake, now);
  await enqueue(
    dispatchQueueUrl,
    owed.map((updateId) => ({ updateId })),
  );
  logger.info('statuses', {
    messages: event.Records.length,
    devices: devices.length,
    rejected: rejected.length,
    owed: owed.length,
  });
  return { batchItemFailures: [] };
}

/** What the devices just seen are owed, with what they slept through. */
async function findOwed(awake: readonly DeviceReport[], now: Date): Promise<number[]> {
  if (awake.length === 0) return [];
  const sightings = awake.map(({ deviceId, reachabilityReceivedAt: receivedAt }) => ({ deviceId, receivedAt }));
  await oweUnconfirmedAgain(database, sightings, now);
  return findOwedTo(
    database,
    awake.map(({ deviceId }) => deviceId),
  );
}

function readBatch(event: SQSEvent, now: Date): { statuses: Status[]; rejected: RejectedMessage[] } {
  const statuses: Status[] = [];
  const rejected: RejectedMessage[] = [];
  for (const { body } of event.Records) {
    const decoded = decodeRuleMessage(body, DEVICE_ID_SEGMENT, now);
    if (!decoded.ok) {
      rejected.push(decoded.rejected);
      continue;
    }
    const status = readStatus(decoded.value);
    if (status.ok) statuses.push({ message: decoded.value, report: status.report });
    else rejected.push(rejectMessage(decoded.value, status.reason));
  }
  return { statuses, rejected };
}

function mergeByDevice(statuses: readonly Status[]): DeviceReport[] {
  const merged = new Map<string, DeviceReport>();
  for (const { report } of statuses) {
    const known = merged.get(report.deviceId);
    merged.set(report.deviceId, known === undefined ? report : mergeReports(known, report));
  }
  return [...merged.values()];
}

/** A status that names a version is evidence of what runs, for devices with an update under way. */
async function recordProofOfBoot(sql: Database, statuses: readonly Status[], now: Date): Promise<void> {
  const reports = statuses.filter(({ report }) => report.version !== null && report.online).map(toReport);
  for (const batch of inBatches(reports)) await judgeUpdates(sql, await recordReports(sql, batch), now);
}

const toReport = ({ message, report }: Status): Report => ({
  deviceId: report.deviceId,
  type: 'status',
  receivedAt: message.receivedAt,
  payloadHash: message.payloadHash,
  payload: { version: report.version, uptimeSeconds: report.uptimeSeconds },
  version: report.version,
  state: null,
});
