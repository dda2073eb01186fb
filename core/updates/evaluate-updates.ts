import * as z from 'zod';
import { inBatches, type RowOf, type Sql, select } from '../db/index.ts';
import { type AttemptVerdict, evaluateAttempt, mayReach, planRetry, UPDATE_STATES } from '../policy/index.ts';
import { ID, type UpdateId } from '../util/index.ts';
import { type FactsRow, loadFacts, toFacts, toTimes } from './attempt-facts.ts';
import { MAX_SENDS } from './requeue-unacknowledged.ts';
import { type Evaluated, storeRetries, storeVerdicts } from './store-verdicts.ts';

/**
 * The facts of an update can include a few dozen statuses; those of this many updates stay well under the Data API's
 * limit of 1 MiB.
 */
const UPDATES_PER_CALL = 100;

/**
 * Evaluates the newest attempt of each given update from all its events, and stores the verdict or schedules a retry,
 * unless an evaluation of more events was stored meanwhile: events are only added, so more events means later. A final
 * outcome does not change; a late message may still add details to it. Silence decides only until `processedUntil`,
 * because a message that was received later may still wait in a queue.
 */
export async function evaluateUpdates(sql: Sql, updateIds: readonly UpdateId[], processedUntil: Date): Promise<void> {
  for (const ids of inBatches(updateIds, UPDATES_PER_CALL)) {
    const evaluated = (await loadFacts(sql, ids)).map((row) => evaluate(row, processedUntil)).filter(isApplicable);
    await storeVerdicts(
      sql,
      evaluated.filter(({ retry }) => retry === undefined),
    );
    await storeRetries(sql, evaluated);
  }
}

/** Silence is left to the orchestrator: an opened link does not tell which messages of the device have been processed. */
const NO_SILENCE = new Date(0);

/**
 * Marks updates whose link was opened as under way. The database role of the function that serves links can neither end an
 * update nor record that its image was installed. Such a verdict is left to the next report or to the deadline.
 */
export async function markFetched(sql: Sql, updateIds: readonly UpdateId[]): Promise<void> {
  const evaluated = (await loadFacts(sql, updateIds)).map((row) => evaluate(row, NO_SILENCE)).filter(isApplicable);
  await storeVerdicts(
    sql,
    evaluated.filter(({ row, verdict }) => row.completed_at === null && isUnderWay(verdict)),
  );
}

const isUnderWay = ({ status, completedAt }: AttemptVerdict) => completedAt === null && status !== 'success';

function evaluate(row: FactsRow, processedUntil: Date): Evaluated {
  const habits = { reportIntervalSeconds: row.report_interval_seconds, restartsPerHour: row.restarts_per_hour };
  // The silence that ended an update is evaluated again, with the evidence that was processed since.
  const at = row.completed_at !== null && row.completed_at > processedUntil ? row.completed_at : processedUntil;
  const verdict = evaluateAttempt(toFacts(row), toTimes(row), habits, at);
  const mayRetry = row.rollout_id !== null && row.completed_at === null;
  const retry = mayRetry ? planRetry(verdict, toEndedAttempt(row)) : undefined;
  return { row, verdict, retry };
}

/**
 * A verdict moves an open update along the table of its states or not at all. A pending update changes only if a report
 * shows that its previous attempt was received. The verdict of an ended update is replaced by one that follows from
 * evidence received no later, whenever that is processed.
 */
function isApplicable({ row, verdict, retry }: Evaluated): boolean {
  if (row.completed_at !== null) return verdict.completedAt !== null && verdict.completedAt <= row.completed_at;
  if (!mayReach(row.status, verdict.status)) return false;
  const wasHeard = verdict.acknowledgedAt !== null || verdict.installedAt !== null;
  return row.status !== 'pending' || (wasHeard && (retry === undefined || row.used_attempts < row.attempt));
}

const toEndedAttempt = (row: FactsRow) => ({
  updateId: row.id,
  attempt: row.attempt,
  maxAttempts: row.max_attempts,
  family: row.command_family,
  // A publish is never acknowledged, but a device that was seen awake after this many sends received none of them.
  isDelivered: row.send_result === 'acknowledged' || row.sends >= MAX_SENDS,
  delivery: row.delivery,
  linkOpened: row.link_opened_at !== null,
  declinedCount: row.declined_count,
  retryAfterSeconds: row.decline?.retry_after_seconds ?? null,
  imageBytes: row.file_size,
  isRecovery: row.is_recovery,
});

const overdueUpdate = z.strictObject({
  id: ID.update,
  status: z.enum(UPDATE_STATES),
  error_message: z.string().nullable(),
});
export type OverdueUpdate = RowOf<typeof overdueUpdate>;

/** Open updates whose deadline has passed, most overdue first; at most `limit`. */
export async function findOverdueUpdates(sql: Sql, now: Date, limit: number): Promise<OverdueUpdate[]> {
  return select(
    sql,
    overdueUpdate,
    `SELECT id, status, error_message FROM device_update_status
     WHERE completed_at IS NULL AND deadline_at <= :now::timestamptz
     ORDER BY deadline_at LIMIT :limit`,
    { now, limit },
  );
}
