import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';

/** The queues of messages from devices, by the name of their work. */
export const INGESTION_QUEUES = ['status', 'ota'] as const;
export type IngestionQueue = (typeof INGESTION_QUEUES)[number];

/** How many messages of devices a queue holds, those in flight included; null if that could not be read. */
export interface QueueReading {
  readonly queue: IngestionQueue;
  readonly messages: number | null;
}

/** An observed lag counts for half after this time. It is near the time after which SQS delivers a failed batch again. */
const HALF_LIFE_SECONDS = 300;

/** The oldest receive time of a batch. Messages that were received before it count as processed. */
export const oldestOf = (batch: readonly { readonly receivedAt: Date }[]): Date =>
  new Date(Math.min(...batch.map(({ receivedAt }) => receivedAt.getTime())));

const progressRow = z.strictObject({
  messages: z.int().nullable(),
  empty_at: z.date().nullable(),
  processed_at: z.date().nullable(),
  lag_seconds: z.number(),
});
type Progress = RowOf<typeof progressRow>;

const COLUMNS = 'messages, empty_at, processed_at, lag_seconds';

/**
 * Records that a batch of a queue was processed, and its lag: how long before now its oldest message was received. Of
 * the lags of recent batches the greatest counts; it halves every five minutes.
 */
export async function recordProcessed(sql: Sql, queue: IngestionQueue, oldest: Date, now: Date): Promise<void> {
  const lag = Math.max(0, (now.getTime() - oldest.getTime()) / 1000);
  await sql.query(
    `INSERT INTO ingestion_progress AS p (queue, processed_at, lag_seconds) VALUES (:queue, :now::timestamptz, :lag)
     ON CONFLICT (queue) DO UPDATE SET processed_at = excluded.processed_at,
       -- The bound keeps the power of a long time from an underflow, which is an error.
       lag_seconds = greatest(excluded.lag_seconds, p.lag_seconds * power(0.5, least(60, greatest(0,
         coalesce(extract(epoch FROM excluded.processed_at - p.processed_at), 0) / ${HALF_LIFE_SECONDS}))))`,
    { queue, now, lag },
  );
}

/**
 * Records how many messages wait in each queue. @returns the time up to which messages of devices count as processed:
 * silence is evaluated at that time
 */
export async function recordQueues(sql: Sql, readings: readonly QueueReading[], now: Date): Promise<Date> {
  const rows = await select(
    sql,
    progressRow,
    `INSERT INTO ingestion_progress AS p (queue, messages, empty_at)
     SELECT queue, messages, :now::timestamptz
     FROM jsonb_to_recordset(:readings::jsonb) AS q(queue text, messages integer)
     ON CONFLICT (queue) DO UPDATE SET messages = excluded.messages,
       empty_at = CASE WHEN excluded.messages = 0 THEN excluded.empty_at ELSE coalesce(p.empty_at, excluded.empty_at) END
     RETURNING ${COLUMNS}`,
    { readings, now },
  );
  return processedUntil(rows, now);
}

/** The same time by the newest reading of the queues, which may be old: messages may have arrived since. */
export async function loadProcessedUntil(sql: Sql, now: Date): Promise<Date> {
  const rows = await select(sql, progressRow, `SELECT ${COLUMNS} FROM ingestion_progress`, {});
  return processedUntil(
    rows.map((row) => ({ ...row, messages: null })),
    now,
  );
}

/**
 * A queue that is empty holds nothing back. One with messages counts as processed up to the newest of two times: the
 * last reading at which it was empty, and the last batch. Both are less the lag that was observed. SQS does not state
 * the age of the oldest message among the attributes of a queue, and its counts are approximate: this is a heuristic.
 */
function processedUntil(rows: readonly Progress[], now: Date): Date {
  const times = rows.map(({ messages, empty_at, processed_at, lag_seconds: lag }) => {
    const known = [empty_at, processed_at].flatMap((time) => time?.getTime() ?? []);
    const until = messages === 0 || known.length === 0 ? now.getTime() : Math.max(...known);
    const halvings = Math.max(0, now.getTime() - (processed_at?.getTime() ?? 0)) / 1000 / HALF_LIFE_SECONDS;
    return Math.min(until, now.getTime()) - lag * 0.5 ** halvings * 1000;
  });
  return new Date(Math.min(now.getTime(), ...times));
}
