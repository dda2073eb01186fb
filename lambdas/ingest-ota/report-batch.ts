import type { Sql } from '../../core/database.ts';
import { describeFloods, limitReports, MOST_A_MINUTE } from '../../core/floods.ts';
import { recordRejectedMessages } from '../../core/rejected-messages.ts';
import { decodeRuleMessage, type RejectedMessage, type RuleMessage, rejectMessage } from '../../core/rule-message.ts';
import { DEVICE_ID_SEGMENT, parseOtaTopic } from '../../core/topics.ts';
import type { Queued } from '../shared/queued.ts';
import { readOtaMessage } from './ota-message.ts';
import { type FamilyReport, storeReports } from './store-reports.ts';

interface OtaMessage extends FamilyReport {
  readonly topic: string;
  readonly receivedAt: Date;
  readonly payloadHash: string;
  readonly message: RuleMessage;
}

/** OTA reports → ota_events → device_update_status. Can be repeated. @returns how much came to what */
export async function ingestReports(
  sql: Sql,
  batch: readonly Queued[],
  now: Date,
): Promise<{ updates: number; rejected: number; dropped: number }> {
  const { messages, rejected } = readBatch(batch, now);
  const { taken, dropped } = await limitReports(sql, messages);
  const { updates, refused } = await storeReports(sql, taken, now);
  rejected.push(...refused.map(({ row, error }) => rejectMessage(row.message, `not storable: ${error.message}`)));
  await recordRejectedMessages(sql, [...rejected, ...describeFloods(dropped, MOST_A_MINUTE.reports)]);
  return { updates, rejected: rejected.length, dropped: dropped.length };
}

function readBatch(batch: readonly Queued[], now: Date): { messages: OtaMessage[]; rejected: RejectedMessage[] } {
  const messages: OtaMessage[] = [];
  const rejected: RejectedMessage[] = [];
  for (const { body, undeliveredAt } of batch) {
    const decoded = decodeRuleMessage(body, DEVICE_ID_SEGMENT, now, undeliveredAt);
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

const originOf = ({ topic, clientId, receivedAt, payloadHash }: RuleMessage) => ({
  topic,
  clientId,
  receivedAt,
  payloadHash,
});
