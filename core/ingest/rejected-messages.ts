import type { Sql } from '../db/index.ts';
import { inBatches } from '../db/index.ts';
import { subtreeOf } from '../protocol/index.ts';
import { limitRejections } from './rate-limit.ts';
import type { RejectedMessage } from './rule-message.ts';

/** Enough to recognize what a device sent; the length and the hash of the whole payload are stored too. */
const MAX_PAYLOAD_BYTES = 16 * 1024;

/**
 * Records messages that were acknowledged without being processed, up to the rate limit. Recording a message twice
 * makes one row.
 */
export async function recordRejectedMessages(sql: Sql, messages: readonly RejectedMessage[]): Promise<void> {
  const accepted = await limitRejections(sql, messages);
  const rows = accepted.map(({ topic, clientId, reason, payload, payloadHash, receivedAt }) => ({
    topic,
    device_id: subtreeOf(topic) ?? null,
    client_id: clientId,
    reason,
    payload: Buffer.from(payload).subarray(0, MAX_PAYLOAD_BYTES).toString('base64'),
    payload_bytes: payload.length,
    payload_sha256: payloadHash,
    received_at: receivedAt,
  }));
  for (const batch of inBatches(rows)) {
    await sql.query(
      `INSERT INTO rejected_messages (topic, device_id, client_id, reason, payload, payload_bytes, payload_sha256,
         received_at)
       SELECT topic, device_id, client_id, reason, payload, payload_bytes, payload_sha256, received_at
       FROM jsonb_to_recordset(:rows::jsonb) AS r(topic text, device_id text, client_id text, reason text,
         payload text, payload_bytes integer, payload_sha256 text, received_at timestamptz)
       ON CONFLICT ON CONSTRAINT rejected_messages_message_key DO NOTHING`,
      { rows: batch },
    );
  }
}
