import type { Sql } from '../../core/db/index.ts';

/** Counters that differ from a recount of the rows; empty if all are right. */
export async function counterErrors(sql: Sql): Promise<unknown[]> {
  const updates = await sql.query(
    `SELECT rollout_id, generation, stage, firmware_version, state, cause, is_started, is_reclaimable, reason,
       sum(n)::integer AS off
     FROM (
       SELECT rollout_id, generation, stage, firmware_version, state, cause, is_started, is_reclaimable, reason, updates AS n
       FROM update_counts
       UNION ALL
       SELECT rollout_id, generation, stage, firmware_version,
         CASE WHEN status = 'success' AND completed_at IS NULL THEN 'on_probation'
           WHEN late_rollback_at IS NOT NULL THEN 'late_rollback'
           WHEN late_success_at IS NOT NULL THEN 'late_success' ELSE status END,
         cause, counts_as_started, is_reclaimable, CASE WHEN status IN ('failed', 'rolled_back', 'timed_out') THEN coalesce(error_message, '') END, -1
       FROM device_update_status WHERE rollout_id IS NOT NULL AND NOT is_replaced) AS entries
     GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 HAVING sum(n) <> 0`,
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
       SELECT device_model, current_firmware_version, -1 FROM devices WHERE revoked_at IS NULL) AS entries
     GROUP BY device_model, version HAVING sum(n) <> 0`,
  );
  return [...updates, ...outcomes, ...versions];
}
