import * as z from 'zod';
import { groupBy, type Sql, select } from '../db/index.ts';
import { type DeviceId, sha256 } from '../util/index.ts';
import type { RejectedMessage } from './rule-message.ts';

/**
 * Maximum messages of one device on one topic per minute of the broker's time. A device that works correctly sends far
 * fewer.
 */
export const MAX_PER_MINUTE = {
  /** Per kind of OTA report. Progress is reported once a second, and messages that were held up arrive at once. */
  reports: 300,
  /** Statuses that are stored as evidence. The newest status always updates the device. */
  statuses: 10,
  /** Rejected messages, each stored with up to 16 KiB of its payload. */
  rejections: 20,
} as const;

/** From this many messages in a batch, earlier batches of the same minute are counted too. */
const CHECK_HISTORY_FROM = 10;

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
  /** Messages within the limit, without duplicates. */
  readonly taken: readonly M[];
  /** Messages above the limit. */
  readonly dropped: readonly M[];
}

/** Messages of a topic and minute that earlier batches stored. */
interface Stored {
  readonly count: number;
  /** Messages of this batch that are already stored: a second delivery does not count against the limit. */
  readonly repeats: ReadonlySet<Counted>;
}

/**
 * Keeps the first messages of each source and minute, so that one device cannot fill the database. Duplicates count
 * once.
 * @param max messages per source and minute
 * @param sourceOf the source that the limit applies to: the topic or the device of a message
 * @param stored messages that earlier batches stored, by source and minute
 */
export function limitPerMinute<M extends Counted>(
  messages: readonly M[],
  max: number,
  sourceOf: (message: M) => string,
  stored: ReadonlyMap<string, Stored> = new Map(),
): Limited<M> {
  const limited = [...bySourceAndMinute(messages, sourceOf)].map(([key, group]) => {
    const { count, repeats } = stored.get(key) ?? { count: 0, repeats: new Set() };
    const fresh = group.filter((message) => !repeats.has(message));
    fresh.sort((a, b) => a.receivedAt.getTime() - b.receivedAt.getTime());
    const capacity = Math.max(0, max - count);
    return {
      taken: [...group.filter((message) => repeats.has(message)), ...fresh.slice(0, capacity)],
      dropped: fresh.slice(capacity),
    };
  });
  return { taken: limited.flatMap(({ taken }) => taken), dropped: limited.flatMap(({ dropped }) => dropped) };
}

/** One rejection per topic and minute, however many messages were dropped and however often this is reported. */
export function describeDropped(dropped: readonly Message[], max: number): RejectedMessage[] {
  const payload = new Uint8Array();
  const reason = `rate limit: more than ${max} messages on this topic within a minute; the rest were dropped`;
  return [...bySourceAndMinute(dropped, topicOf).values()].flatMap(([first]) => {
    if (first === undefined) return [];
    const { topic, clientId, receivedAt } = first;
    return { topic, clientId, receivedAt: minuteOf(receivedAt), reason, payload, payloadHash: sha256(payload) };
  });
}

/** Applies the limit to reports, including those of earlier batches. */
export async function limitReports<M extends Message & { readonly report: { deviceId: DeviceId; type: string } }>(
  sql: Sql,
  messages: readonly M[],
): Promise<Limited<M>> {
  const bursts = findBursts(messages, ({ report: { deviceId, type } }) => ({
    device_id: deviceId,
    event_type: type,
  }));
  return limitPerMinute(messages, MAX_PER_MINUTE.reports, topicOf, await loadStored(sql, STORED_REPORTS, bursts));
}

/** Applies the limit to rejections, including those of earlier batches, and adds one row for the dropped ones. */
export async function limitRejections(
  sql: Sql,
  messages: readonly RejectedMessage[],
): Promise<readonly RejectedMessage[]> {
  const bursts = findBursts(messages, ({ topic }) => ({ topic }));
  const stored = await loadStored(sql, STORED_REJECTIONS, bursts);
  const { taken, dropped } = limitPerMinute(messages, MAX_PER_MINUTE.rejections, topicOf, stored);
  return [...taken, ...describeDropped(dropped, MAX_PER_MINUTE.rejections)];
}

interface Burst<M extends Message> {
  readonly key: string;
  readonly messages: readonly M[];
  /** The columns that identify its rows. */
  readonly source: object;
}

function findBursts<M extends Message>(messages: readonly M[], sourceOf: (first: M) => object): Burst<M>[] {
  return [...bySourceAndMinute(messages, topicOf)].flatMap(([key, group]) => {
    const [first] = group;
    return first === undefined || group.length < CHECK_HISTORY_FROM
      ? []
      : [{ key, messages: group, source: sourceOf(first) }];
  });
}

const storedStatement = (table: string, source: string, isSource: string, hash: string) => `
    SELECT s.key,
      (SELECT count(*)::integer FROM ${table} AS e WHERE ${isSource}
         AND e.received_at >= s.minute AND e.received_at < s.minute + interval '1 minute') AS count,
      (SELECT coalesce(jsonb_agg(m.n), '[]') FROM jsonb_to_recordset(s.messages) AS m(n integer, at timestamptz, hash text)
       WHERE EXISTS (
         SELECT FROM ${table} AS e WHERE ${isSource} AND e.received_at = m.at AND e.${hash} = m.hash)) AS repeats
    FROM jsonb_to_recordset(:bursts::jsonb) AS s(key text, minute timestamptz, messages jsonb, ${source})`;

const STORED_REPORTS = storedStatement(
  'ota_events',
  'device_id text, event_type text',
  'e.device_id = s.device_id AND e.event_type = s.event_type',
  'payload_hash',
);
const STORED_REJECTIONS = storedStatement('rejected_messages', 'topic text', 'e.topic = s.topic', 'payload_sha256');

async function loadStored<M extends Message>(
  sql: Sql,
  statement: string,
  bursts: readonly Burst<M>[],
): Promise<Map<string, Stored>> {
  if (bursts.length === 0) return new Map();
  const rows = await select(
    sql,
    z.strictObject({ key: z.string(), count: z.int(), repeats: z.array(z.int()) }),
    statement,
    {
      bursts: bursts.map(({ key, messages, source }) => ({
        ...source,
        key,
        minute: messages[0] && minuteOf(messages[0].receivedAt),
        messages: messages.map(({ receivedAt, payloadHash }, n) => ({ n, at: receivedAt, hash: payloadHash })),
      })),
    },
  );
  const messagesByKey = new Map(bursts.map(({ key, messages }) => [key, messages]));
  return new Map(
    rows.map(({ key, count, repeats }) => {
      const messages = messagesByKey.get(key) ?? [];
      return [key, { count, repeats: new Set(repeats.flatMap((n) => messages[n] ?? [])) }];
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
