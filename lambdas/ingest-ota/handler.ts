import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { describeFloods, limitReports, MOST_A_MINUTE } from '../../core/floods.ts';
import { recordRejectedMessages } from '../../core/rejected-messages.ts';
import { decodeRuleMessage, type RejectedMessage, type RuleMessage, rejectMessage } from '../../core/rule-message.ts';
import { DEVICE_ID_SEGMENT, parseOtaTopic } from '../../core/topics.ts';
import { openDatabase } from '../shared/database.ts';
import { logger } from '../shared/log.ts';
import { count } from '../shared/metrics.ts';
import { undeliveredAt } from '../shared/undelivered.ts';
import { readOtaMessage } from './ota-message.ts';
import { type FamilyReport, storeReports } from './store-reports.ts';

const database = openDatabase();

interface OtaMessage extends FamilyReport {
  readonly topic: string;
  readonly receivedAt: Date;
  readonly message: RuleMessage;
}

/** OTA reports → ota_events → device_update_status. An exception puts the whole batch back: every step can be repeated. */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  const now = new Date();
  const { messages, rejected } = readBatch(event, now);
  const { taken, dropped } = await limitReports(database, messages);
  const { updates, refused } = await storeReports(database, taken, now);
  rejected.push(...refused.map(({ row, error }) => rejectMessage(row.message, `not storable: ${error.message}`)));
  await recordRejectedMessages(database, [...rejected, ...describeFloods(dropped, MOST_A_MINUTE.reports)]);
  count({ rejectedMessages: rejected.length + dropped.length });

  logger.info('ota reports', {
    messages: event.Records.length,
    updates,
    rejected: rejected.length,
    dropped: dropped.length,
  });
  return { batchItemFailures: [] };
}

function readBatch(event: SQSEvent, now: Date): { messages: OtaMessage[]; rejected: RejectedMessage[] } {
  const messages: OtaMessage[] = [];
  const rejected: RejectedMessage[] = [];
  for (const record of event.Records) {
    const decoded = decodeRuleMessage(record.body, DEVICE_ID_SEGMENT, now, undeliveredAt(record));
    if (!decoded.ok) {
      rejected.push(decoded.rejected);
      continue;
    }
    const message = decoded.value;
    const topic = parseOtaTopic(message.topic);
    const read = topic === undefined ? undefined : readOtaMessage(message, topic.kind);
    if (topic !== undefined && read?.ok) {
      messages.push({ ...originOf(message), message, family: topic.family, report: read.report });
    } else rejected.push(rejectMessage(message, read === undefined || read.ok ? 'not an OTA topic' : read.reason));
  }
  return { messages, rejected };
}

const originOf = ({ topic, clientId, receivedAt }: RuleMessage) => ({ topic, clientId, receivedAt });
