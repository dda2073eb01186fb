import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { otaTopics } from '../../core/protocol/index.ts';
import { openDatabase } from '../shared/database.ts';
import { logger } from '../shared/log.ts';
import { count } from '../shared/metrics.ts';
import { toQueueMessage } from '../shared/queue-message.ts';
import { recordProgress } from '../shared/record-progress.ts';
import { readSenders } from '../shared/senders.ts';
import { ingestReports } from './report-batch.ts';

const database = openDatabase();
const senders = readSenders(otaTopics);

/**
 * Stores OTA reports in ota_events and updates device_update_status. An exception returns the whole batch to the queue,
 * because every step can be repeated.
 */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  const now = new Date();
  const { oldest, ...outcome } = await ingestReports(database, event.Records.map(toQueueMessage), senders, now);
  await recordProgress(database, 'ota', oldest, now);
  count({ rejectedMessages: outcome.rejected + outcome.dropped });
  logger.info('ota reports', { messages: event.Records.length, ...outcome });
  return { batchItemFailures: [] };
}
