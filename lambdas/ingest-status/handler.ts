import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { recordRefusals } from '../../core/devices/index.ts';
import { type IdlePeriod, isRedundantHeartbeat } from '../../core/orchestrator/index.ts';
import { statusTopics } from '../../core/protocol/index.ts';
import { oldestOf } from '../../core/updates/index.ts';
import { ENV } from '../../core/util/index.ts';
import { openDatabase } from '../shared/database.ts';
import { readDefaultModel, requireEnv } from '../shared/environment.ts';
import { getIdlePeriod, wake } from '../shared/idle-marker.ts';
import { logger } from '../shared/log.ts';
import { count } from '../shared/metrics.ts';
import { enqueue } from '../shared/queue.ts';
import { toQueueMessage } from '../shared/queue-message.ts';
import { recordProgress } from '../shared/record-progress.ts';
import { readSenders } from '../shared/senders.ts';
import { acceptChanges, stateDefaultModel } from './accept-changes.ts';
import { mustRecord, separateRefusals } from './refusals.ts';
import { parseStatusBatch, type StatusMessage, storeStatusBatch } from './status-batch.ts';

const database = openDatabase();
const senders = readSenders(statusTopics);
const acceptsChanges = requireEnv(ENV.identityChanges) === 'accept';
const defaultModel = readDefaultModel();
const dispatchQueueUrl = requireEnv(ENV.dispatchQueueUrl);

/**
 * Stores status messages, evaluates the updates that they are evidence for, and dispatches pending updates of devices
 * that have just reported. In idle mode, redundant heartbeats are dropped, and one
 * refusal of a client an hour is recorded. An exception returns the whole batch to the
 * queue, because every step can be repeated.
 */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  const now = new Date();
  const { refusals, others } = separateRefusals(event.Records.map(toQueueMessage), now);
  const { statuses: received, rejected: unreadable } = parseStatusBatch(others, senders, now);
  const idlePeriod = await getIdlePeriod(now);
  const statuses = idlePeriod === undefined ? received : withoutRedundant(received, idlePeriod);
  const { pending, rejected, dropped } = await storeStatusBatch(database, { statuses, rejected: unreadable }, now);
  if (defaultModel !== null) await stateDefaultModel(database, statuses, defaultModel, now);
  if (acceptsChanges) await acceptChanges(database, statuses, now);
  await recordRefusals(
    database,
    idlePeriod === undefined ? refusals : refusals.filter((refusal) => mustRecord(refusal, now)),
  );
  await enqueue(
    dispatchQueueUrl,
    pending.map((updateId) => ({ updateId })),
  );
  if (statuses.length > 0) {
    await recordProgress(database, 'status', oldestOf(statuses), now);
  }
  // The marker's snapshots are out of date once a status was stored.
  if (idlePeriod !== undefined && statuses.length > 0) await wake(now);
  count({ rejectedMessages: rejected + dropped, refusedClients: refusals.length });
  logger.info('statuses', {
    messages: event.Records.length,
    refusals: refusals.length,
    absorbed: received.length - statuses.length,
    rejected,
    dropped,
    pending: pending.length,
  });
  return { batchItemFailures: [] };
}

/** In idle mode, redundant heartbeats are not stored. */
function withoutRedundant(statuses: readonly StatusMessage[], { devices }: IdlePeriod): readonly StatusMessage[] {
  const byId = new Map(devices.map((device) => [device.device_id, device]));
  return statuses.filter(({ report }) => !isRedundantHeartbeat(report, byId));
}
