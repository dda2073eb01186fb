import * as z from 'zod';
import { type Sql, select } from '../db/index.ts';
import { ID, type RolloutId, type UpdateId } from '../util/index.ts';
import { MAY_SEND, NOT_HELD } from './dispatch-updates.ts';
import { inFlightByValue } from './limit-per-value.ts';

/**
 * Picks pending updates of a rollout to dispatch: every device that has started, and twice as many others as the limits
 * allow (some will be out of reach), online devices first. Postpones them, so that the next tick does not pick them
 * again while they are in the queue. Of the devices with one value of the attribute of `max_in_flight_per`, it picks
 * twice as many as that has room for. If there may be more than it looks at, those without room go behind the others.
 */
export async function pickPendingUpdates(
  sql: Sql,
  rolloutId: RolloutId,
  limit: number,
  now: Date,
  putOffSeconds: number,
): Promise<UpdateId[]> {
  const rows = await select(
    sql,
    z.strictObject({ id: ID.update }),
    `WITH runtime AS (
       SELECT p.rollout_id, 2 * greatest(0, least(:limit::integer, p.start_limit - p.started_count,
         r.max_in_flight - p.in_flight, r.max_per_minute)) AS room
       FROM rollout_runtime AS p JOIN rollout_configurations AS r ON r.id = p.rollout_id
       WHERE p.rollout_id = :rollout AND ${MAY_SEND}
     ), ${inFlightByValue(false)}, started AS (
       SELECT u.id, u.device_id, u.failed_before, u.enqueue_after, true AS is_started FROM device_update_status AS u
       WHERE u.rollout_id = (SELECT rollout_id FROM runtime) AND u.status = 'pending' AND u.counts_as_started
         AND u.enqueue_after <= :now::timestamptz AND ${NOT_HELD}
       ORDER BY u.enqueue_after LIMIT :limit FOR UPDATE SKIP LOCKED
     ), fresh AS (
       SELECT u.id, u.device_id, u.failed_before, u.enqueue_after, false AS is_started FROM device_update_status AS u
       WHERE u.rollout_id = (SELECT rollout_id FROM runtime) AND u.status = 'pending' AND NOT u.counts_as_started
         AND u.enqueue_after <= :now::timestamptz AND ${NOT_HELD}
       ORDER BY u.failed_before, u.enqueue_after LIMIT (
         SELECT coalesce(sum(CASE WHEN room = 0 OR NOT EXISTS (SELECT FROM per_value) THEN 2 * room ELSE 4 * :limit::integer END), 0)
         FROM runtime) FOR UPDATE SKIP LOCKED
     ), placed AS (
       -- Looks up each device by itself, because the planner cannot estimate how many there are.
       SELECT c.*, d.online, d.value, row_number() OVER (
         PARTITION BY d.value ORDER BY c.is_started DESC, d.online DESC, c.failed_before, c.enqueue_after, c.id) AS place
       FROM (SELECT * FROM started UNION ALL SELECT * FROM fresh) AS c
       CROSS JOIN LATERAL (
         SELECT online AND coalesce(presumed_offline_at(last_seen, report_interval_seconds) > :now::timestamptz, false)
             AS online, metadata ->> (SELECT attribute FROM per_value) AS value
         FROM devices WHERE device_id = c.device_id OFFSET 0) AS d
     ), looked_at AS (
       SELECT placed.*, placed.value IS NULL OR place <= 2 * (p.max - coalesce(b.in_flight, 0)) AS has_room
       FROM placed LEFT JOIN per_value AS p ON true LEFT JOIN busy AS b ON b.value = placed.value
     ), picked AS (
       SELECT id FROM looked_at WHERE has_room AND is_started
       UNION ALL (
         SELECT id FROM looked_at WHERE has_room AND NOT is_started
         ORDER BY online DESC, failed_before, enqueue_after, id LIMIT (SELECT coalesce(sum(room), 0) FROM runtime))
     ), put_off AS (
       -- An array is always looked up by the index.
       UPDATE device_update_status SET enqueue_after = :now::timestamptz + make_interval(secs => :seconds)
       WHERE id = ANY (ARRAY(SELECT id FROM picked))
     ), put_back AS (
       UPDATE device_update_status SET enqueue_after = :now::timestamptz
       WHERE (SELECT count(*) FROM looked_at) >= :limit AND id = ANY (ARRAY(SELECT id FROM looked_at WHERE NOT has_room))
     )
     SELECT id FROM picked`,
    { rollout: rolloutId, limit, now, seconds: putOffSeconds },
  );
  return rows.map(({ id }) => id).sort((a, b) => a - b);
}
