import type { Sql } from '../../core/db/index.ts';

/** Rows per statement. More would exceed the 45 s timeout of the Data API. */
const ROWS_PER_STATEMENT = 100_000;

export const MODEL = 'esp32-s3';

/** SQL of a device id with 12 hexadecimal digits of a hash, so that ids are evenly distributed. */
export const DEVICE_ID = `'ESP32-' || upper(substr(md5(n::text), 1, 12))`;

/** Calls `make` with the first and last number of each chunk. */
export async function inChunks(count: number, make: (first: number, last: number) => Promise<unknown>): Promise<void> {
  for (let first = 1; first <= count; first += ROWS_PER_STATEMENT) {
    await make(first, Math.min(first + ROWS_PER_STATEMENT - 1, count));
  }
}

/**
 * Inserts a fleet as after a year: 95% on 1.0.0 and the rest on two older versions, a hundred customers of equal size,
 * every hundredth device in the group `vans`, and a tenth not seen for days.
 */
export async function makeFleet(sql: Sql, count: number): Promise<void> {
  await inChunks(count, async (first, last) => {
    await sql.query(
      `INSERT INTO devices (device_id, mac_address, client_id, device_model, model_received_at, current_firmware_version, online, last_seen,
         version_received_at, metadata)
       SELECT ${DEVICE_ID}, upper(regexp_replace(substr(md5(n::text), 1, 12), '(..)(?!$)', '\\1:', 'g')), ${DEVICE_ID},
         :model, now(), CASE WHEN n % 20 > 0 THEN '1.0.0' WHEN n % 40 > 0 THEN '0.9.0' ELSE '0.8.0' END, n % 10 > 0,
         now() - make_interval(secs => n % 60, days => CASE WHEN n % 10 > 0 THEN 0 ELSE n % 300 END),
         now() - make_interval(days => n % 300), jsonb_build_object('customer', 'c' || n % 100)
       FROM generate_series(:first::integer, :last::integer) AS n`,
      { model: MODEL, first, last },
    );
    await sql.query(
      `INSERT INTO device_groups (device_id, group_name) SELECT ${DEVICE_ID}, 'vans'
       FROM generate_series(:first::integer, :last::integer) AS n WHERE n % 100 = 0`,
      { first, last },
    );
  });
}

const TABLES = [
  'devices',
  'device_groups',
  'device_update_status',
  'device_changes',
  'update_counts',
  'version_counts',
];

/** Updates statistics and visibility maps, like autovacuum. */
export async function vacuum(sql: Sql): Promise<void> {
  for (const name of TABLES) await sql.query(`VACUUM ANALYZE ${name}`);
}
