import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { type DeviceId, ID } from '../util/index.ts';

const timelineRow = z.strictObject({
  at: z.date(),
  event: z.string(),
  rollout_id: ID.rollout.nullable(),
  update_id: ID.update.nullable(),
  attempt: z.int().nullable(),
  firmware_version: z.string().nullable(),
  detail: z.record(z.string(), z.unknown()),
});
export type TimelineRow = RowOf<typeof timelineRow>;

/** The order of events with the same timestamp: messages of a device often arrive together. */
const ATTEMPT_EVENT_ORDER = 'assigned sent accepted fetch progress result status attempt_ended ended';

/**
 * Events of a device before a point in time, newest first. All events of the last instant are included, even beyond the
 * limit.
 */
export async function deviceTimeline(
  sql: Sql,
  deviceId: DeviceId,
  before: string | null,
  limit: number,
): Promise<TimelineRow[]> {
  return select(
    sql,
    timelineRow,
    `SELECT * FROM (
       SELECT date_trunc('milliseconds', at) AS at, event, rollout_id, update_id, attempt, firmware_version, detail
       FROM device_timeline
       WHERE device_id = :device AND (:before::timestamptz IS NULL OR at < :before::timestamptz)
       ORDER BY 1 DESC FETCH FIRST (:limit) ROWS WITH TIES) AS page
     ORDER BY at DESC, update_id DESC, attempt DESC NULLS LAST, array_position(string_to_array(:order, ' '), event) DESC NULLS LAST, event`,
    { device: deviceId, before, limit, order: ATTEMPT_EVENT_ORDER },
  );
}
