import type { ClientRefusal } from '../../core/devices/index.ts';
import { decodeRuleMessage } from '../../core/ingest/index.ts';
import { DISCONNECTED_TOPIC, disconnectedTopics, REFUSAL_REASONS } from '../../core/protocol/index.ts';
import type { QueueMessage } from '../shared/queue-message.ts';

/** AWS IoT sends these events and not the client, whose id is in the topic. */
const SENDERS = { topics: disconnectedTopics, acceptAnyClientId: true };

/** Separates the disconnections of clients by their policy from the statuses; both come by the same queue. */
export function separateRefusals(batch: readonly QueueMessage[], now: Date) {
  const refusals: ClientRefusal[] = [];
  const others: QueueMessage[] = [];
  for (const message of batch) {
    const refusal = message.body.includes(DISCONNECTED_TOPIC) ? parseRefusal(message, now) : undefined;
    if (refusal === undefined) others.push(message);
    else refusals.push(refusal);
  }
  return { refusals, others };
}

function parseRefusal({ body, undeliveredAt }: QueueMessage, now: Date): ClientRefusal | undefined {
  const decoded = decodeRuleMessage(body, SENDERS, now, undeliveredAt);
  if (!decoded.ok) return undefined;
  const { deviceId: clientId, receivedAt: at, payload } = decoded.value;
  const reason = REFUSAL_REASONS.find((each) => each === payload.disconnectReason);
  return reason === undefined ? undefined : { clientId, reason, at };
}

const RECORD_EVERY_MS = 3_600_000;
const MAX_REMEMBERED = 1_000;
const recordedAt = new Map<string, number>();

/** True once an hour for each client, as far as this instance knows: each record wakes the database. */
export function mustRecord({ clientId }: ClientRefusal, now: Date): boolean {
  const isRecent = now.getTime() - (recordedAt.get(clientId) ?? Number.NEGATIVE_INFINITY) < RECORD_EVERY_MS;
  if (isRecent) return false;
  if (recordedAt.size >= MAX_REMEMBERED) recordedAt.clear();
  recordedAt.set(clientId, now.getTime());
  return true;
}
