import type { Sql } from '../../core/db/index.ts';
import { type IngestionQueue, recordProcessed } from '../../core/updates/index.ts';

/** A statement for each small batch would be a third more statements. */
const RECORD_EVERY_MS = 15_000;
/** Batches that were received longer ago are recorded at once: silence must not be evaluated before them. */
const ORDINARY_LAG_MS = 30_000;

let recordedAt = Number.NEGATIVE_INFINITY;

/** Records that a batch was processed, at most every 15 seconds per instance unless its messages are late. */
export async function recordProgress(sql: Sql, queue: IngestionQueue, oldest: Date, now: Date): Promise<void> {
  const isOrdinary = now.getTime() - oldest.getTime() < ORDINARY_LAG_MS;
  // The clock may have been set back.
  const isRecent = Math.abs(now.getTime() - recordedAt) < RECORD_EVERY_MS;
  if (isOrdinary && isRecent) return;
  await recordProcessed(sql, queue, oldest, now);
  recordedAt = now.getTime();
}
