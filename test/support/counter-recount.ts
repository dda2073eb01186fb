import type { Sql } from '../../core/db/index.ts';

/** Where the sums of the ledgers differ from what there is to count; nothing, as long as they are right. */
export async function counterErrors(sql: Sql): Promise<unknown[]> {
  const updates = await sql.query(
    `SELECT rollout_id, stage, state, is_reclaimable, reason, sum(n)::integer AS off FROM (
       SELECT rollout_id, stage, state, is_reclaimable, reason, updates AS n FROM update_counts
       UNION ALL
       SELECT rollout_id, stage, CASE WHEN status = 'success' AND completed_at IS NULL THEN 'on_probation' ELSE status END,
         is_reclaimable, CASE WHEN status IN ('failed', 'rolled_back', 'timed_out') THEN coalesce(error_message, '') END, -1
       FROM device_update_status WHERE rollout_id IS NOT NULL AND NOT is_replaced) AS entries
     GROUP BY rollout_id, stage, state, is_reclaimable, reason HAVING sum(n) <> 0`,
  );
  const outcomes = await sql.query(
    `SELECT rollout_id, is_success, sum(n)::integer AS off FROM (
       SELECT rollout_id, is_success, updates AS n FROM outcome_counts
       UNION ALL
       SELECT rollout_id, status = 'success', -1 FROM device_update_status
       WHERE rollout_id IS NOT NULL AND completed_at IS NOT NULL
         AND status IN ('success', 'failed', 'rolled_back', 'timed_out')) AS entries
     GROUP BY rollout_id, is_success HAVING sum(n) <> 0`,
  );
  const versions = await sql.query(
    `SELECT device_model, version, sum(n)::integer AS off FROM (
       SELECT device_model, firmware_version AS version, devices AS n FROM version_counts
       UNION ALL
       SELECT device_model, current_firmware_version, -1 FROM devices) AS entries
     GROUP BY device_model, version HAVING sum(n) <> 0`,
  );
  return [...updates, ...outcomes, ...versions];
}
