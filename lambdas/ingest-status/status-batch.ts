import type { Sql } from '../../core/db/index.ts';
import type { DeviceReport } from '../../core/devices/index.ts';
import {
  describeFloods,
  limitFloods,
  MOST_A_MINUTE,
  type RejectedMessage,
  type RuleMessage,
  recordRejectedMessages,
  rejectMessage,
} from '../../core/ingest/index.ts';
import type { Queued } from '../shared/queued.ts';
import { readBatch } from '../shared/read-batch.ts';
import { readStatus } from './status-message.ts';
import { storeStatuses } from './store-statuses.ts';

export interface StatusMessage {
  readonly message: RuleMessage;
  readonly report: DeviceReport;
}

export interface StatusBatch {
  readonly statuses: readonly StatusMessage[];
  readonly rejected: readonly RejectedMessage[];
}

export function readStatusBatch(batch: readonly Queued[], now: Date): StatusBatch {
  const { messages, rejected } = readBatch<StatusMessage>(batch, now, (message) => {
    const status = readStatus(message);
    return status.ok ? { ok: true, value: { message, report: status.report } } : status;
  });
  return { statuses: messages, rejected };
}

/**
 * Status messages → devices; what they prove about running updates. Can be repeated.
 * @returns `owed`: ids of updates that devices just seen are owed; and how much came to what
 */
export async function storeStatusBatch(
  sql: Sql,
  { statuses, rejected }: StatusBatch,
  now: Date,
): Promise<{ owed: readonly number[]; rejected: number; dropped: number }> {
  const { owed, refused } = await storeStatuses(
    sql,
    statuses.map(({ message, report }) => ({ ...message, report })),
    now,
  );
  const all = [...rejected];
  for (const { message } of statuses) {
    const reason = refused.get(message.deviceId);
    if (reason !== undefined) all.push(rejectMessage(message, reason));
  }
  const messages = statuses.map(({ message }) => message);
  const { dropped } = limitFloods(messages, MOST_A_MINUTE.statuses, ({ topic }) => topic);
  await recordRejectedMessages(sql, [...all, ...describeFloods(dropped, MOST_A_MINUTE.statuses)]);
  return { owed, rejected: all.length, dropped: dropped.length };
}
