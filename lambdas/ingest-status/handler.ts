import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { type Resting, isRedundantHeartbeat } from '../../core/orchestrator/index.ts';
import { ENV } from '../../core/util/index.ts';
import { openDatabase } from '../shared/database.ts';
import { requireEnv } from '../shared/environment.ts';
import { logger } from '../shared/log.ts';
import { count } from '../shared/metrics.ts';
import { enqueue } from '../shared/queue.ts';
import { queued } from '../shared/queue-message.ts';
import { resting, wake } from '../shared/idle-marker.ts';
import { parseStatusBatch, type StatusMessage, storeStatusBatch } from './status-batch.ts';

const database = openDatabase();
const dispatchQueueUrl = requireEnv(ENV.dispatchQueueUrl);

/**
 * Status messages → devices; what they prove about running updates; what the devices just seen are owed → dispatch.
 * While the system rests, what says nothing new goes no further.
 * An exception puts the whole batch back: every step can be repeated.
 */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  const now = new Date();
  const { statuses: said, rejected: unread } = parseStatusBatch(event.Records.map(queued), now);
  const rest = await resting(now);
  const statuses = rest === undefined ? said : withNews(said, rest);
  const { owed, rejected, dropped } = await storeStatusBatch(database, { statuses, rejected: unread }, now);
  await enqueue(
    dispatchQueueUrl,
    owed.map((updateId) => ({ updateId })),
  );
  // What has changed is no longer what the marker says.
  if (rest !== undefined && statuses.length > 0) await wake(now);
  count({ rejectedMessages: rejected + dropped });
  logger.info('statuses', {
    messages: event.Records.length,
    absorbed: said.length - statuses.length,
    rejected,
    dropped,
    owed: owed.length,
  });
  return { batchItemFailures: [] };
}

/** While the system rests, the heartbeats that say nothing new are not written down. */
function withNews(statuses: readonly StatusMessage[], { known }: Resting): readonly StatusMessage[] {
  const byId = new Map(known.map((device) => [device.device_id, device]));
  return statuses.filter(({ report }) => !isRedundantHeartbeat(report, byId));
}
