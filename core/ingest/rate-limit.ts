import type { Sql } from '../db/index.ts';
import { groupBy } from '../db/index.ts';
import { sha256 } from '../util/index.ts';
import type { RejectedMessage } from './rule-message.ts';

/** What one device says on one topic within a minute of the broker's time; an honest one says far less. */
export const MAX_PER_MINUTE = {
  /** Of each kind of OTA report. Progress comes once a second, and what was held up comes at once. */
  reports: 300,
  /** Statuses that are looked at as evidence; the newest is the device's state in any case. */
  statuses: 10,
  /** Messages that are rejected, each with up to 16 KiB of what it was. */
  rejections: 20,
} as const;

/** So many in a batch are worth a look at what came before. */
const CHECK_HISTORY_FROM = 10;

interface Message {
  readonly topic: string;
  readonly clientId: string | null;
  readonly receivedAt: Date;
  readonly payloadHash: string;
}

export interface Limited<M> {
  /** One copy of each. */
  readonly taken: readonly M[];
  /** What is above the limit. */
  readonly dropped: readonly M[];
}

/** What was taken of a topic and minute by earlier batches. */
interface Kept {
  readonly messages: number;
  /** Messages of this batch among them: a second delivery takes no room. */
  readonly again: ReadonlySet<Message>;
}

/**
 * The first of each topic and minute, so that a device that floods one does not fill the database. Copies count once.
 * @param most messages on one topic within a minute
 * @param before what was taken already, by topic and minute
 */
export function limitPerMinute<M extends Message>(
  messages: readonly M[],
  most: number,
  before: ReadonlyMap<string, Kept> = new Map(),
): Limited<M> {
  const limited = [...byTopicAndMinute(messages)].map(([key, said]) => {
    const { messages: kept, again } = before.get(key) ?? { messages: 0, again: new Set() };
    const news = said.filter((message) => !again.has(message));
    news.sort((a, b) => a.receivedAt.getTime() - b.receivedAt.getTime());
    const room = Math.max(0, most - kept);
    return {
      taken: [...said.filter((message) => again.has(message)), ...news.slice(0, room)],
      dropped: news.slice(room),
    };
  });
  return { taken: limited.flatMap(({ taken }) => taken), dropped: limited.flatMap(({ dropped }) => dropped) };
}

/** A flood as operators see it: one row a topic and minute, however much was dropped and however often that is told. */
export function describeDropped(dropped: readonly Message[], most: number): RejectedMessage[] {
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
  const suspects = suspectsAmong(messages, ({ report: { deviceId, type } }) => ({
    device_id: deviceId,
    event_type: type,
  }));
  return limitPerMinute(messages, MAX_PER_MINUTE.reports, await readKept(sql, KEPT_REPORTS, suspects));
}

/** Rejections within their limit, those of earlier batches included, and a row for each flood of them. */
export async function limitRejections(
  sql: Sql,
  messages: readonly RejectedMessage[],
): Promise<readonly RejectedMessage[]> {
  const suspects = suspectsAmong(messages, ({ topic }) => ({ topic }));
  const before = await readKept(sql, KEPT_REJECTIONS, suspects);
  const { taken, dropped } = limitPerMinute(messages, MAX_PER_MINUTE.rejections, before);
  return [...taken, ...describeDropped(dropped, MAX_PER_MINUTE.rejections)];
}

interface Suspect<M extends Message> {
  readonly key: string;
  readonly said: readonly M[];
  /** What its rows are found by. */
  readonly source: object;
}

function suspectsAmong<M extends Message>(messages: readonly M[], sourceOf: (first: M) => object): Suspect<M>[] {
  return [...byTopicAndMinute(messages)].flatMap(([key, said]) => {
    const [first] = said;
    return first === undefined || said.length < CHECK_HISTORY_FROM ? [] : [{ key, said, source: sourceOf(first) }];
  });
}

const keptStatement = (table: string, source: string, isSource: string, hash: string) => `
    SELECT s.key,
      (SELECT count(*)::integer FROM ${table} AS e WHERE ${isSource}
         AND e.received_at >= s.minute AND e.received_at < s.minute + interval '1 minute') AS messages,
      (SELECT coalesce(jsonb_agg(m.n), '[]') FROM jsonb_to_recordset(s.said) AS m(n integer, at timestamptz, hash text)
       WHERE EXISTS (
         SELECT FROM ${table} AS e WHERE ${isSource} AND e.received_at = m.at AND e.${hash} = m.hash)) AS again
    FROM jsonb_to_recordset(:suspects::jsonb) AS s(key text, minute timestamptz, said jsonb, ${source})`;

const KEPT_REPORTS = keptStatement(
  'ota_events',
  'device_id text, event_type text',
  'e.device_id = s.device_id AND e.event_type = s.event_type',
  'payload_hash',
);
const KEPT_REJECTIONS = keptStatement('rejected_messages', 'topic text', 'e.topic = s.topic', 'payload_sha256');

async function readKept<M extends Message>(
  sql: Sql,
  statement: string,
  suspects: readonly Suspect<M>[],
): Promise<Map<string, Kept>> {
  if (suspects.length === 0) return new Map();
  const rows = await sql.query<{ key: string; messages: number; again: number[] }>(statement, {
    suspects: suspects.map(({ key, said, source }) => ({
      ...source,
      key,
      minute: said[0] && minuteOf(said[0].receivedAt),
      said: said.map(({ receivedAt, payloadHash }, n) => ({ n, at: receivedAt, hash: payloadHash })),
    })),
  });
  const saidBy = new Map(suspects.map(({ key, said }) => [key, said]));
  return new Map(
    rows.map(({ key, messages, again }) => {
      const said = saidBy.get(key) ?? [];
      return [key, { messages, again: new Set(again.flatMap((n) => said[n] ?? [])) }];
    }),
  );
}

/** One copy of each message. */
const byTopicAndMinute = <M extends Message>(messages: readonly M[]) =>
  groupBy(onceEach(messages), ({ topic, receivedAt }) => `${minuteOf(receivedAt).toISOString()} ${topic}`);

function onceEach<M extends Message>(messages: readonly M[]): M[] {
  const nameOf = ({ topic, receivedAt, payloadHash }: M) => `${receivedAt.getTime()} ${payloadHash} ${topic}`;
  return [...new Map(messages.map((message) => [nameOf(message), message])).values()];
}

const minuteOf = (at: Date) => new Date(Math.floor(at.getTime() / 60_000) * 60_000);
