import type { Sql } from '../db/index.ts';
import { groupBy } from '../db/index.ts';
import { sha256 } from '../util/index.ts';
import type { RejectedMessage } from './rule-message.ts';

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

/** What the limit needs to know about a message, besides the source that it is counted for. */
interface Counted {
  readonly receivedAt: Date;
  /** Two messages of one source with the same time and hash are copies. */
  readonly payloadHash: string;
}

interface Message extends Counted {
  readonly topic: string;
  readonly clientId: string | null;
}

export interface Limited<M> {
  /** One copy of each. */
  readonly taken: readonly M[];
  /** What is above the limit. */
  readonly dropped: readonly M[];
}

/** What was taken of a source and minute by earlier batches. */
interface Kept {
  readonly messages: number;
  /** Messages of this batch among them: a second delivery takes no room. */
  readonly again: ReadonlySet<Counted>;
}

/**
 * The first messages of each source and minute, so that one source cannot fill the database. Copies count once.
 * @param most messages of one source within a minute
 * @param sourceOf what the limit applies to: the topic or the device of a message
 * @param before what was taken already, by source and minute
 */
export function limitFloods<M extends Counted>(
  messages: readonly M[],
  most: number,
  sourceOf: (message: M) => string,
  before: ReadonlyMap<string, Kept> = new Map(),
): Limited<M> {
  const limited = [...bySourceAndMinute(messages, sourceOf)].map(([key, said]) => {
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
export function describeFloods(dropped: readonly Message[], most: number): RejectedMessage[] {
  const payload = new Uint8Array();
  const reason = `flood: more than ${most} messages on this topic within a minute; those above were not kept`;
  return [...bySourceAndMinute(dropped, topicOf).values()].flatMap(([first]) => {
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
  return limitFloods(messages, MOST_A_MINUTE.reports, topicOf, await readKept(sql, KEPT_REPORTS, suspects));
}

/** Rejections within their limit, those of earlier batches included, and a row for each flood of them. */
export async function limitRejections(
  sql: Sql,
  messages: readonly RejectedMessage[],
): Promise<readonly RejectedMessage[]> {
  const suspects = suspectsAmong(messages, ({ topic }) => ({ topic }));
  const before = await readKept(sql, KEPT_REJECTIONS, suspects);
  const { taken, dropped } = limitFloods(messages, MOST_A_MINUTE.rejections, topicOf, before);
  return [...taken, ...describeFloods(dropped, MOST_A_MINUTE.rejections)];
}

interface Suspect<M extends Message> {
  readonly key: string;
  readonly said: readonly M[];
  /** What its rows are found by. */
  readonly source: object;
}

function suspectsAmong<M extends Message>(messages: readonly M[], sourceOf: (first: M) => object): Suspect<M>[] {
  return [...bySourceAndMinute(messages, topicOf)].flatMap(([key, said]) => {
    const [first] = said;
    return first === undefined || said.length < SUSPICIOUS ? [] : [{ key, said, source: sourceOf(first) }];
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

const topicOf = ({ topic }: Message) => topic;

/** One copy of each message. */
const bySourceAndMinute = <M extends Counted>(messages: readonly M[], sourceOf: (message: M) => string) =>
  groupBy(
    onceEach(messages, sourceOf),
    (message) => `${minuteOf(message.receivedAt).toISOString()} ${sourceOf(message)}`,
  );

function onceEach<M extends Counted>(messages: readonly M[], sourceOf: (message: M) => string): M[] {
  const nameOf = (message: M) => `${message.receivedAt.getTime()} ${message.payloadHash} ${sourceOf(message)}`;
  return [...new Map(messages.map((message) => [nameOf(message), message])).values()];
}

const minuteOf = (at: Date) => new Date(Math.floor(at.getTime() / 60_000) * 60_000);
