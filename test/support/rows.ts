import type { TestSql } from './test-sql.ts';

/** Inserts devices `d0`, `d1`, … as statuses would create them. */
export async function addDevices(
  sql: TestSql,
  count: number,
  { model = 'esp32-s3', version = '1.0.0', prefix = 'd' } = {},
): Promise<void> {
  await sql.query(
    `INSERT INTO devices (device_id, client_id, device_model, model_received_at, current_firmware_version, online, last_seen)
     SELECT :prefix || n, :prefix || n, :model, '2020-01-01', :version, true, now() FROM generate_series(0, :last::integer) AS n`,
    { prefix, model, version, last: count - 1 },
  );
}

export async function addRelease(
  sql: TestSql,
  version: string,
  { model = 'esp32-s3', minVersion = null as string | null } = {},
): Promise<void> {
  await sql.query(
    `INSERT INTO firmware_releases (version, device_model, object_key, file_size, checksum_sha256, chip, min_version)
     VALUES (:version, :model, 'releases/x.bin', 1000, repeat('a', 64), 'ESP32-S3', :minVersion)`,
    { version, model, minVersion },
  );
}

/** Inserts a rollout with these columns, like an operator in SQL. @returns its id */
export async function addRollout(
  sql: TestSql,
  name: string,
  version: string,
  columns: Record<string, unknown> = {},
): Promise<number> {
  const values = { name, firmware_version: version, ...columns };
  const names = Object.keys(values).join(', ');
  const [row] = await sql.query<{ id: number }>(
    `INSERT INTO rollout_configurations (${names})
     SELECT ${names} FROM jsonb_populate_record(NULL::rollout_configurations, :values::jsonb)
     RETURNING id`,
    { values },
  );
  if (row === undefined) throw new Error('no rollout was made');
  return row.id;
}
