import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { ID } from '../util/index.ts';

const rolloutEvent = z.strictObject({
  event_id: z.int(),
  /** One of `ROLLOUT_EVENTS`, or one that a newer version wrote. */
  event: z.string(),
  at: z.date(),
  rollout_id: ID.rollout,
  rollout_name: z.string(),
  firmware_version: z.string(),
  device_model: z.string(),
  reason: z.string().nullable(),
  decided_by: z.string().nullable(),
  /** `numbers` are the counts of the rollout at that moment, of decisions that have them. */
  detail: z.looseObject({
    numbers: z
      .looseObject({
        assigned: z.int().optional(),
        succeeded: z.int().optional(),
        failed: z.int().optional(),
        silent: z.int().optional(),
      })
      .optional(),
  }),
});

/** A decision about a rollout that has not been put on the event bus yet. */
export type RolloutEvent = RowOf<typeof rolloutEvent>;

/** True if there are unpublished events. Events of deleted rollouts are never published. */
export const HAS_UNPUBLISHED_EVENTS = `EXISTS (
         SELECT FROM ota_events AS e JOIN rollout_configurations AS r ON r.id = e.rollout_id
         WHERE e.device_id IS NULL AND e.published_at IS NULL)`;

/**
 * The oldest decisions that are not published yet. The table serves as an outbox: a change and its event are stored
 * together.
 */
export async function loadUnpublishedEvents(sql: Sql, limit: number): Promise<RolloutEvent[]> {
  return select(
    sql,
    rolloutEvent,
    `SELECT t.event_id, t.event, t.at, t.rollout_id, t.rollout_name, t.firmware_version, t.device_model, t.reason,
       t.decided_by, t.detail
     FROM rollout_timeline AS t JOIN ota_events AS e ON e.id = t.event_id
     WHERE e.device_id IS NULL AND e.published_at IS NULL ORDER BY e.id LIMIT :limit`,
    { limit },
  );
}

export async function markPublished(sql: Sql, eventIds: readonly number[], now: Date): Promise<void> {
  if (eventIds.length === 0) return;
  await sql.query(
    `UPDATE ota_events SET published_at = :now::timestamptz
     WHERE id IN (SELECT jsonb_array_elements_text(:ids::jsonb)::bigint) AND published_at IS NULL`,
    { ids: eventIds, now },
  );
}
