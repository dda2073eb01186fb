import { expect } from 'vitest';
import { sha256 } from '../../core/rule-message.ts';
import type { TestSystem } from './system.ts';

interface Taken {
  readonly topic: string;
  readonly received_at: number;
  readonly payload: string;
}

/** Every message that a rule took is in the database or in `rejected_messages`, and none waits in a queue. */
export async function expectNothingLost({ database }: TestSystem, taken: readonly string[]): Promise<void> {
  const messages = taken.map((body) => {
    const { topic, received_at, payload } = JSON.parse(body) as Taken;
    const hash = sha256(Buffer.from(payload, 'base64'));
    return { topic, device: topic.split('/')[2], at: new Date(received_at), hash };
  });
  // A status is folded into its device: that one has heard of it, or of a later one.
  const lost = await database.query(
    `SELECT m.topic, m.at FROM jsonb_to_recordset(:messages::jsonb) AS m(topic text, device text, at timestamptz, hash text)
     WHERE NOT EXISTS (
         SELECT FROM devices WHERE device_id = m.device AND m.topic LIKE '%/status' AND reachability_received_at >= m.at)
       AND NOT EXISTS (
         SELECT FROM ota_events WHERE device_id = m.device AND received_at = m.at AND payload_hash = m.hash)
       AND NOT EXISTS (
         SELECT FROM rejected_messages WHERE topic = m.topic AND received_at = m.at AND payload_sha256 = m.hash)`,
    { messages },
  );
  expect(lost).toEqual([]);
}

/** What an open update holds of its rollout's limits is what its pace row says, and never more than it allows. */
export async function expectWithinLimits({ database }: TestSystem): Promise<void> {
  const exceeded = await database.query(
    `SELECT r.name, p.in_flight, r.max_in_flight, held.count
     FROM rollout_pace AS p JOIN rollout_configurations AS r ON r.id = p.rollout_id
     CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE slot_held), count(*) FILTER (WHERE slot_held AND closed_at IS NULL) AS open
       FROM device_update_status AS u WHERE u.rollout_id = r.id) AS held
     WHERE held.count <> p.in_flight OR held.open > r.max_in_flight OR p.in_flight > r.max_in_flight`,
  );
  expect(exceeded).toEqual([]);
  const hurried = await database.query(
    `SELECT r.name, date_trunc('minute', a.sent_at) AS minute, count(*)
     FROM update_attempts AS a JOIN device_update_status AS u ON u.id = a.update_id
     JOIN rollout_configurations AS r ON r.id = u.rollout_id
     GROUP BY 1, 2, r.max_per_minute HAVING count(*) > r.max_per_minute`,
  );
  expect(hurried).toEqual([]);
}
