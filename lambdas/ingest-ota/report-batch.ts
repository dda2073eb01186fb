import type { Sql } from '../../core/db/index.ts';
import {
  describeDropped,
  limitReports,
  MAX_PER_MINUTE,
  type RuleMessage,
  recordRejectedMessages,
  rejectMessage,
  type Senders,
} from '../../core/ingest/index.ts';
import { parseOtaTopic } from '../../core/protocol/index.ts';
import { oldestOf } from '../../core/updates/index.ts';
import type { Result } from '../../core/util/index.ts';
import { parseBatch } from '../shared/parse-batch.ts';
import type { QueueMessage } from '../shared/queue-message.ts';
import { describeUnreadable, parseOtaMessage } from './ota-message.ts';
import { type FamilyReport, storeReports } from './store-reports.ts';

/** A message of a device about an update, with the report that was read from it. */
type OtaMessage = RuleMessage & FamilyReport;

/**
 * Stores OTA reports in ota_events and updates device_update_status. Can be repeated.
 * @returns the number of changed updates, rejected messages and dropped messages, and the oldest receive time
 */
export async function ingestReports(
  sql: Sql,
  batch: readonly QueueMessage[],
  senders: Senders,
  now: Date,
): Promise<{ updates: number; rejected: number; dropped: number; oldest: Date }> {
  const { messages, rejected } = parseBatch(batch, senders, now, parseReport);
  // A progress message counts even then: it shows that the device is alive.
  for (const message of messages) {
    if (!message.isReadable) rejected.push(rejectMessage(message, describeUnreadable(message)));
  }
  const { taken, dropped } = await limitReports(sql, messages);
  const { updates, refused } = await storeReports(sql, taken);
  rejected.push(...refused.map(({ row, error }) => rejectMessage(row, `not storable: ${error.message}`)));
  await recordRejectedMessages(sql, [...rejected, ...describeDropped(dropped, MAX_PER_MINUTE.reports)]);
  return {
    updates,
    rejected: rejected.length,
    dropped: dropped.length,
    oldest: messages.length === 0 ? now : oldestOf(messages),
  };
}

function parseReport(message: RuleMessage): Result<OtaMessage> {
  const topic = parseOtaTopic(message.topic);
  if (topic === undefined) return { ok: false, reason: 'not an OTA topic' };
  const parsed = parseOtaMessage(message, topic.kind);
  if (!parsed.ok) return parsed;
  return { ok: true, value: { ...message, family: topic.family, report: parsed.value } };
}
