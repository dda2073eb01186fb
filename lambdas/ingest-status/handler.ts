import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type { DeviceReport } from '../../core/devices.ts';
import { ENV } from '../../core/env-names.ts';
import { recordRejectedMessages } from '../../core/rejected-messages.ts';
import { decodeRuleMessage, type RejectedMessage, type RuleMessage, rejectMessage } from '../../core/rule-message.ts';
import { DEVICE_ID_SEGMENT } from '../../core/topics.ts';
import { openDatabase } from '../shared/database.ts';
import { requireEnv } from '../shared/environment.ts';
import { logger } from '../shared/log.ts';
import { count } from '../shared/metrics.ts';
import { enqueue } from '../shared/queue.ts';
import { readStatus } from './status-message.ts';
import { storeStatuses } from './store-statuses.ts';

const database = openDatabase();
const dispatchQueueUrl = requireEnv(ENV.dispatchQueueUrl);

interface StatusMessage {
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
  const { owed, refused } = await storeStatuses(
    database,
    statuses.map(({ message, report }) => ({ ...message, report })),
    now,
  );
  for (const { message } of statuses) {
    const reason = refused.get(message.deviceId);
    if (reason !== undefined) rejected.push(rejectMessage(message, reason));
  }
  await recordRejectedMessages(database, rejected);
  await enqueue(
    dispatchQueueUrl,
    owed.map((updateId) => ({ updateId })),
  );
  count({ rejectedMessages: rejected.length });
  logger.info('statuses', { messages: event.Records.length, rejected: rejected.length, owed: owed.length });
  return { batchItemFailures: [] };
}

function readBatch(event: SQSEvent, now: Date): { statuses: StatusMessage[]; rejected: RejectedMessage[] } {
  const statuses: StatusMessage[] = [];
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
