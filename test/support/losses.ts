import type { Sql } from '../../core/db/index.ts';
import { sha256 } from '../../core/util/index.ts';

/** A message of a device that a topic rule put on a queue. */
export interface QueuedMessage {
  readonly topic: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly hash: string;
}

/**
 * Parses the body that a topic rule or its error action put on a queue.
 * @param sentAt when the body was sent; the ingestion takes it as the receive time of an undelivered message
 * @returns undefined for other bodies
 */
export function parseQueuedMessage(body: string, sentAt: Date): QueuedMessage | undefined {
  const { topic, received_at: at, payload, base64OriginalPayload: undelivered } = JSON.parse(body) as Rule;
  const hashOf = (base64: string) => sha256(Buffer.from(base64, 'base64'));
  if (topic === undefined) return undefined;
  if (undelivered !== undefined) return { topic, at: sentAt.getTime(), hash: hashOf(undelivered) };
  return at === undefined || payload === undefined ? undefined : { topic, at, hash: hashOf(payload) };
}

interface Rule {
  readonly topic?: string;
  readonly received_at?: number;
  readonly payload?: string;
  readonly base64OriginalPayload?: string;
}

const MESSAGES_PER_STATEMENT = 5_000;

/** Messages that are not in the database, `rejected_messages` included. */
export async function findLost(sql: Sql, queued: readonly QueuedMessage[]): Promise<object[]> {
  const lost: object[] = [];
  for (let start = 0; start < queued.length; start += MESSAGES_PER_STATEMENT) {
    const messages = queued.slice(start, start + MESSAGES_PER_STATEMENT).map(({ topic, at, hash }) => {
      return { topic, device: topic.split('/')[2], at: new Date(at), hash };
    });
    // A status is stored in the row of its device, which has the time of the newest one.
    const found = await sql.query(
      `SELECT m.topic, m.at FROM jsonb_to_recordset(:messages::jsonb) AS m(topic text, device text, at timestamptz, hash text)
       WHERE NOT EXISTS (
           SELECT FROM devices WHERE device_id = m.device AND m.topic NOT LIKE '%/ota/%' AND reachability_received_at >= m.at)
         AND NOT EXISTS (
           SELECT FROM ota_events WHERE device_id = m.device AND received_at = m.at AND payload_hash = m.hash)
         AND NOT EXISTS (
           SELECT FROM rejected_messages WHERE topic = m.topic AND received_at = m.at AND payload_sha256 = m.hash)
       LIMIT 100`,
      { messages },
    );
    lost.push(...(found as object[]));
  }
  return lost;
}

/** Rollouts that exceed a limit, or whose `in_flight` differs from a count of the updates. */
export async function findExceeded(sql: Sql): Promise<object[]> {
  const held = await sql.query(
    `SELECT r.name, p.in_flight, r.max_in_flight, held.count
     FROM rollout_runtime AS p JOIN rollout_configurations AS r ON r.id = p.rollout_id
     CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE holds_slot), count(*) FILTER (WHERE holds_slot AND completed_at IS NULL) AS open
       FROM device_update_status AS u WHERE u.rollout_id = r.id) AS held
     WHERE held.count <> p.in_flight OR held.open > r.max_in_flight OR p.in_flight > r.max_in_flight`,
  );
  const tooFast = await sql.query(
    `SELECT r.name, date_trunc('minute', a.sent_at) AS minute, count(*)
     FROM update_attempts AS a JOIN device_update_status AS u ON u.id = a.update_id
     JOIN rollout_configurations AS r ON r.id = u.rollout_id
     GROUP BY 1, 2, r.max_per_minute HAVING count(*) > r.max_per_minute`,
  );
  return [...held, ...tooFast] as object[];
}
