import {
  decodeRuleMessage,
  type RejectedMessage,
  type RuleMessage,
  rejectMessage,
  type Senders,
} from '../../core/ingest/index.ts';
import type { Result } from '../../core/util/index.ts';
import type { QueueMessage } from './queue-message.ts';

/**
 * Parses the bodies of a batch. An invalid body is returned as rejected, with the reason, and does not affect the
 * others.
 */
export function parseBatch<T>(
  batch: readonly QueueMessage[],
  senders: Senders,
  now: Date,
  read: (message: RuleMessage) => Result<T>,
): { readonly messages: T[]; readonly rejected: RejectedMessage[] } {
  const messages: T[] = [];
  const rejected: RejectedMessage[] = [];
  for (const { body, undeliveredAt } of batch) {
    const decoded = decodeRuleMessage(body, senders, now, undeliveredAt);
    if (!decoded.ok) {
      rejected.push(decoded.reason);
      continue;
    }
    const message = read(decoded.value);
    if (message.ok) messages.push(message.value);
    else rejected.push(rejectMessage(decoded.value, message.reason));
  }
  return { messages, rejected };
}
