import type { Sql } from './database.ts';

/**
 * Puts sums in the place of their entries. Entries that are added meanwhile stay as they are; of two who do this at once
 * the second finds nothing left to sum.
 */
export async function foldLedgers(sql: Sql): Promise<void> {
  await sql.query(
    `WITH entries AS (
       DELETE FROM update_counts WHERE rollout_id IN (
         SELECT rollout_id FROM update_counts GROUP BY rollout_id, stage, state, is_reclaimable, reason HAVING count(*) > 1)
       RETURNING *
     )
     INSERT INTO update_counts
     SELECT rollout_id, stage, state, is_reclaimable, reason, sum(updates) FROM entries
     GROUP BY rollout_id, stage, state, is_reclaimable, reason HAVING sum(updates) <> 0`,
  );
  await sql.query(
    `WITH entries AS (
       DELETE FROM outcome_counts WHERE (rollout_id, ended_at) IN (
         SELECT rollout_id, ended_at FROM outcome_counts GROUP BY rollout_id, ended_at, is_success HAVING count(*) > 1)
       RETURNING *
     )
     INSERT INTO outcome_counts
     SELECT rollout_id, ended_at, is_success, sum(updates) FROM entries
     GROUP BY rollout_id, ended_at, is_success HAVING sum(updates) <> 0`,
  );
  await sql.query(
    `WITH entries AS (
       DELETE FROM version_counts WHERE (device_model, firmware_version) IN (
         SELECT device_model, firmware_version FROM version_counts GROUP BY device_model, firmware_version HAVING count(*) > 1)
       RETURNING *
     )
     INSERT INTO version_counts
     SELECT device_model, firmware_version, sum(devices) FROM entries
     GROUP BY device_model, firmware_version HAVING sum(devices) <> 0`,
  );
}
