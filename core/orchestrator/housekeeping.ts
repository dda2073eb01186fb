import type { Sql } from '../db/index.ts';

/** Maximum rows of one table that one sweep examines (oldest first) or deletes; the next sweep continues. */
const ROWS_PER_SWEEP = 10_000;

/**
 * Records how many devices run each version now, as history for the overview. A second sample at the same instant is
 * ignored.
 */
export async function sampleFleetVersions(sql: Sql, now: Date): Promise<void> {
  await sql.query(
    `INSERT INTO fleet_versions (sampled_at, device_model, firmware_version, devices)
     SELECT :now::timestamptz, device_model, firmware_version, sum(devices) FROM version_counts
     GROUP BY device_model, firmware_version HAVING sum(devices) > 0
     ON CONFLICT DO NOTHING`,
    { now },
  );
}

/**
 * Deletes what is older than the configured history: events, samples, rejected messages and uploads, requests of uploads, holds that have ended, and the updates of
 * rollouts that have ended. Events by which an open update is evaluated are kept, and so are the decisions about
 * rollouts that have not ended, because their gates depend on them.
 */
export async function sweepHistory(sql: Sql, keepDays: number, now: Date): Promise<void> {
  const values = { before: new Date(now.getTime() - keepDays * 86_400_000) };
  await sql.query(`SELECT delete_old_events(:before::timestamptz, ${ROWS_PER_SWEEP}) AS deleted`, values);
  await sql.query(
    `DELETE FROM device_update_status WHERE id IN (
       SELECT u.id FROM device_update_status AS u LEFT JOIN rollout_configurations AS r ON r.id = u.rollout_id
       WHERE u.completed_at < :before::timestamptz
         AND (r.id IS NULL OR u.is_counted AND (r.completed_at IS NOT NULL OR r.aborted_at IS NOT NULL))
       LIMIT ${ROWS_PER_SWEEP})`,
    values,
  );
  await sql.query('DELETE FROM fleet_versions WHERE sampled_at < :before::timestamptz', values);
  await sql.query(
    `DELETE FROM rejected_messages WHERE id IN (
       SELECT m.id FROM (SELECT * FROM rejected_messages ORDER BY id LIMIT ${ROWS_PER_SWEEP}) AS m
       WHERE m.received_at < :before::timestamptz)`,
    values,
  );
  await sql.query('DELETE FROM holds WHERE ended_at < :before::timestamptz', values);
  await sql.query('DELETE FROM upload_requests WHERE requested_at < :before::timestamptz', values);
  await sql.query('DELETE FROM rejected_uploads WHERE uploaded_at < :before::timestamptz', values);
}
