import * as z from 'zod';
import { type Sql, select } from '../db/index.ts';
import type { RolloutId } from '../util/index.ts';

/**
 * The most devices that a resumption would send to before the gates decide again: in a slow start a wave; in a stage of a
 * plan as many new devices as it had, those that the stop canceled, and those that a network or their own refusal kept
 * from the release. Null if the rollout has not begun.
 */
export async function countResumeDevices(sql: Sql, rolloutId: RolloutId): Promise<number | null> {
  const [row] = await select(
    sql,
    z.strictObject({ devices: z.int() }),
    `SELECT (coalesce(s.start_quota,
         c.returned + CASE WHEN s.hash_cutoff < r.target_hash_cutoff AND NOT s.is_exhausted THEN greatest(coalesce(s.sample_count, 1), 1) ELSE 0 END
       ))::integer AS devices
     FROM rollout_configurations AS r
     JOIN rollout_runtime AS p ON p.rollout_id = r.id
     JOIN rollout_stages AS s ON s.rollout_id = r.id AND s.stage = p.stage
     CROSS JOIN LATERAL (
       SELECT coalesce(sum(updates), 0) AS returned FROM update_counts
       WHERE rollout_id = r.id AND (state = 'canceled' AND is_reclaimable
         OR state IN ('failed', 'timed_out') AND cause IN ('delivery', 'declined', 'not_reached') AND NOT is_reclaimable)) AS c
     WHERE r.id = :rollout`,
    { rollout: rolloutId },
  );
  return row?.devices ?? null;
}
