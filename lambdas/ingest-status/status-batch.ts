import type { Sql } from '../../core/db/index.ts';
import {
  describeDropped,
  limitPerMinute,
  MAX_PER_MINUTE,
  type RejectedMessage,
  type RuleMessage,
  recordRejectedMessages,
  rejectMessage,
  type Senders,
} from '../../core/ingest/index.ts';
import type { UpdateId } from '../../core/util/index.ts';
import { parseBatch } from '../shared/parse-batch.ts';
import type { QueueMessage } from '../shared/queue-message.ts';
import { type ParsedStatus, parseStatus } from './status-message.ts';
import { storeStatuses } from './store-statuses.ts';

/** A status message, with what was read from it. */
export type StatusMessage = RuleMessage & ParsedStatus;

export interface StatusBatch {
  readonly statuses: readonly StatusMessage[];
  readonly rejected: readonly RejectedMessage[];
}

/**
 * Parses the statuses of a batch. A status that cannot be read is both rejected and a sign of life, so its device is
 * registered, seen, and sent its pending update.
 */
export function parseStatusBatch(batch: readonly QueueMessage[], senders: Senders, now: Date): StatusBatch {
  const { messages, rejected } = parseBatch(batch, senders, now, (message) => ({
    ok: true,
    value: { ...message, ...parseStatus(message) },
  }));
  for (const message of messages) {
    if (message.rejection !== null) rejected.push(rejectMessage(message, message.rejection));
  }
  return { statuses: messages, rejected };
}

/**
 * Stores status messages and evaluates the updates that they are evidence for. Can be repeated.
 * @returns `pending`: ids of pending updates of the reporting devices; the numbers of rejected and dropped messages
 */
export async function storeStatusBatch(
  sql: Sql,
  { statuses, rejected }: StatusBatch,
  now: Date,
): Promise<{ pending: readonly UpdateId[]; rejected: number; dropped: number }> {
  const { pending, refused } = await storeStatuses(sql, statuses, now);
  const all = [...rejected];
  for (const message of statuses) {
    const reason = refused.get(message.deviceId);
    if (reason !== undefined) all.push(rejectMessage(message, reason));
  }
  // A rejected message counts against the limit of rejections instead.
  const messages = statuses.filter(({ rejection }) => rejection === null);
  const { dropped } = limitPerMinute(messages, MAX_PER_MINUTE.statuses, ({ topic }) => topic);
  await recordRejectedMessages(sql, [...all, ...describeDropped(dropped, MAX_PER_MINUTE.statuses)]);
  return { pending, rejected: all.length, dropped: dropped.length };
}
