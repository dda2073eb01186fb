import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { inBatches, writeApart } from '../../core/batches.ts';
import { recordCommandFamilies } from '../../core/devices.ts';
import { judgeUpdates, releaseSlots } from '../../core/judging.ts';
import { recordRejectedMessages } from '../../core/rejected-messages.ts';
import { type Report, recordReports } from '../../core/reports.ts';
import { decodeRuleMessage, type RejectedMessage, type RuleMessage, rejectMessage } from '../../core/rule-message.ts';
import { type CommandFamily, DEVICE_ID_SEGMENT, parseOtaTopic } from '../../core/topics.ts';
import { openDatabase } from '../shared/database.ts';
import { logger } from '../shared/log.ts';
import { readOtaMessage } from './ota-message.ts';

const database = openDatabase();

interface OtaMessage {
  readonly message: RuleMessage;
  readonly family: CommandFamily;
  readonly report: Report;
}

/** OTA reports → ota_events → device_update_status. An exception puts the whole batch back: every step can be repeated. */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  const now = new Date();
  const { messages, rejected } = readBatch(event, now);
  const { results, refused } = await writeApart(messages, async (batch) => {
    const updateIds: number[] = [];
    for (const rows of inBatches(batch)) {
      await recordCommandFamilies(
        database,
        rows.map(({ message, family }) => ({ ...message, family })),
      );
      updateIds.push(
        ...(await recordReports(
          database,
          rows.map(({ report }) => report),
        )),
      );
    }
    return updateIds;
  });
  rejected.push(...refused.map(({ row, error }) => rejectMessage(row.message, `not storable: ${error.message}`)));
  await recordRejectedMessages(database, rejected);
  await judgeUpdates(database, [...new Set(results)], now);
  await releaseSlots(database);
  logger.info('ota reports', { messages: event.Records.length, updates: results.length, rejected: rejected.length });
  return { batchItemFailures: [] };
}

function readBatch(event: SQSEvent, now: Date): { messages: OtaMessage[]; rejected: RejectedMessage[] } {
  const messages: OtaMessage[] = [];
  const rejected: RejectedMessage[] = [];
  for (const { body } of event.Records) {
    const decoded = decodeRuleMessage(body, DEVICE_ID_SEGMENT, now);
    if (!decoded.ok) {
      rejected.push(decoded.rejected);
      continue;
    }
    const message = decoded.value;
    const topic = parseOtaTopic(message.topic);
    const read = topic === undefined ? undefined : readOtaMessage(message, topic.kind);
    if (topic !== undefined && read?.ok) messages.push({ message, family: topic.family, report: read.report });
    else rejected.push(rejectMessage(message, read === undefined || read.ok ? 'not an OTA topic' : read.reason));
  }
  return { messages, rejected };
}
