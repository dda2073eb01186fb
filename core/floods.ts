import { groupBy } from './batches.ts';
import type { Sql } from './database.ts';
import { type RejectedMessage, sha256 } from './rule-message.ts';

/** What one device says on one topic within a minute of the broker's time; an honest one says far less. */
export const MOST_A_MINUTE = {
  /** Of each kind of OTA report. Progress comes once a second, and what was held up comes at once. */
  reports: 300,
  /** Statuses that are looked at as evidence; the newest is the device's state in any case. */
  statuses: 10,
  /** Messages that are rejected, each with up to 16 KiB of what it was. */
  rejections: 20,
} as const;

/** So many in a batch are worth a look at what came before. */
const SUSPICIOUS = 10;

interface Message {
  readonly topic: string;
  readonly clientId: string | null;
  readonly receivedAt: Date;
}

export interface Limited<M> {
  readonly taken: readonly M[];
  /** What is above the limit. */
  readonly dropped: readonly M[];
}

/**
 * The first of each topic and minute, so that a device that floods one does not fill the database.
 * @param most messages on one topic within a minute
 * @param before how many of them were taken already, by topic and minute
 */
export function limitFloods<M extends Message>(
  messages: readonly M[],
  most: number,
  before: ReadonlyMap<string, number> = new Map(),
): Limited<M> {
  const limited = [...byTopicAndMinute(messages)].map(([key, said]) => {
    const room = Math.max(0, most - (before.get(key) ?? 0));
    const inOrder = [...said].sort((a, b) => a.receivedAt.getTime() - b.receivedAt.getTime());
    return { taken: inOrder.slice(0, room), dropped: inOrder.slice(room) };
  });
  return { taken: limited.flatMap(({ taken }) => taken), dropped: limited.flatMap(({ dropped }) => dropped) };
}

/** A flood as operators see it: one row a topic and minute, however much was dropped and however often that is told. */
export function describeFloods(dropped: readonly Message[], most: number): RejectedMessage[] {
  const payload = new Uint8Array();
  const reason = `flood: more than ${most} messages on this topic within a minute; those above were not kept`;
  return [...byTopicAndMinute(dropped).values()].flatMap(([first]) => {
    if (first === undefined) return [];
    const { topic, clientId, receivedAt } = first;
    return { topic, clientId, receivedAt: minuteOf(receivedAt), reason, payload, payloadHash: sha256(payload) };
  });
}

/** Reports within their limit, those of earlier batches included. */
export async function limitReports<M extends Message & { readonly report: { deviceId: string; type: string } }>(
  sql: Sql,
  messages: readonly M[],
): Promise<Limited<M>> {
  const suspects = suspectsAmong(messages).map(({ key, first, minute }) => {
    return { key, device_id: first.report.deviceId, event_type: first.report.type, minute };
  });
  if (suspects.length === 0) return { taken: messages, dropped: [] };
  const before = await sql.query<Count>(
    `SELECT s.key, count(*)::integer AS messages
     FROM jsonb_to_recordset(:suspects::jsonb) AS s(key text, device_id text, event_type text, minute timestamptz)
     JOIN ota_events AS e USING (device_id, event_type)
     WHERE e.received_at >= s.minute AND e.received_at < s.minute + interval '1 minute' GROUP BY s.key`,
    { suspects },
  );
  return limitFloods(messages, MOST_A_MINUTE.reports, toMap(before));
}

/** Rejections within their limit, those of earlier batches included, and a row for each flood of them. */
export async function limitRejections(
  sql: Sql,
  messages: readonly RejectedMessage[],
): Promise<readonly RejectedMessage[]> {
  const suspects = suspectsAmong(messages).map(({ key, first: { topic }, minute }) => ({ key, topic, minute }));
  if (suspects.length === 0) return messages;
  const before = await sql.query<Count>(
    `SELECT s.key, count(*)::integer AS messages
     FROM jsonb_to_recordset(:suspects::jsonb) AS s(key text, topic text, minute timestamptz)
     JOIN rejected_messages AS m USING (topic)
     WHERE m.received_at >= s.minute AND m.received_at < s.minute + interval '1 minute' GROUP BY s.key`,
    { suspects },
  );
  const { taken, dropped } = limitFloods(messages, MOST_A_MINUTE.rejections, toMap(before));
  return [...taken, ...describeFloods(dropped, MOST_A_MINUTE.rejections)];
}

function suspectsAmong<M extends Message>(messages: readonly M[]) {
  return [...byTopicAndMinute(messages)].flatMap(([key, said]) => {
    const [first] = said;
    if (first === undefined || said.length < SUSPICIOUS) return [];
    return { key, first, minute: minuteOf(first.receivedAt) };
  });
}

interface Count {
  readonly key: string;
  readonly messages: number;
}

const toMap = (counts: readonly Count[]) => new Map(counts.map(({ key, messages }) => [key, messages]));

const byTopicAndMinute = <M extends Message>(messages: readonly M[]) =>
  groupBy(messages, ({ topic, receivedAt }) => `${minuteOf(receivedAt).toISOString()} ${topic}`);

const minuteOf = (at: Date) => new Date(Math.floor(at.getTime() / 60_000) * 60_000);
