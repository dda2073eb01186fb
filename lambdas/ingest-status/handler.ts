import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type { DeviceReport } from '../../core/devices.ts';
import { ENV } from '../../core/env-names.ts';
import { describeFloods, limitFloods, MOST_A_MINUTE } from '../../core/floods.ts';
import { recordRejectedMessages } from '../../core/rejected-messages.ts';
import { type Resting, saysNothingNew } from '../../core/resting.ts';
import { decodeRuleMessage, type RejectedMessage, type RuleMessage, rejectMessage } from '../../core/rule-message.ts';
import { DEVICE_ID_SEGMENT } from '../../core/topics.ts';
import { openDatabase } from '../shared/database.ts';
import { requireEnv } from '../shared/environment.ts';
import { logger } from '../shared/log.ts';
import { count } from '../shared/metrics.ts';
import { enqueue } from '../shared/queue.ts';
import { resting, wake } from '../shared/rest-marker.ts';
import { undeliveredAt } from '../shared/undelivered.ts';
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
 * While the system rests, what says nothing new goes no further.
 * An exception puts the whole batch back: every step can be repeated.
 */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  const now = new Date();
  const { statuses: said, rejected } = readBatch(event, now);
  const rest = await resting(now);
  const statuses = rest === undefined ? said : withNews(said, rest);
  const { owed, refused } = await storeStatuses(
    database,
    statuses.map(({ message, report }) => ({ ...message, report })),
    now,
  );
  for (const { message } of statuses) {
    const reason = refused.get(message.deviceId);
    if (reason !== undefined) rejected.push(rejectMessage(message, reason));
  }
  const messages = statuses.map(({ message }) => message);
  const { dropped } = limitFloods(messages, MOST_A_MINUTE.statuses);
  await recordRejectedMessages(database, [...rejected, ...describeFloods(dropped, MOST_A_MINUTE.statuses)]);
  await enqueue(
    dispatchQueueUrl,
    owed.map((updateId) => ({ updateId })),
  );
  // What has changed is no longer what the marker says.
  if (rest !== undefined && statuses.length > 0) await wake(now);
  count({ rejectedMessages: rejected.length + dropped.length });
  logger.info('statuses', {
    messages: event.Records.length,
    absorbed: said.length - statuses.length,
    rejected: rejected.length,
    flood: dropped.length,
    owed: owed.length,
  });
  return { batchItemFailures: [] };
}

/** While the system rests, the heartbeats that say nothing new are not written down. */
function withNews(statuses: StatusMessage[], { known }: Resting): StatusMessage[] {
  const byId = new Map(known.map((device) => [device.device_id, device]));
  return statuses.filter(({ report }) => !saysNothingNew(report, byId));
}

function readBatch(event: SQSEvent, now: Date): { statuses: StatusMessage[]; rejected: RejectedMessage[] } {
  const statuses: StatusMessage[] = [];
  const rejected: RejectedMessage[] = [];
  for (const record of event.Records) {
    const decoded = decodeRuleMessage(record.body, DEVICE_ID_SEGMENT, now, undeliveredAt(record));
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
