import type { Sql } from '../../core/database.ts';

/** Devices `d0`, `d1`, … as their statuses would have made them. */
export async function addDevices(
  sql: Sql,
  count: number,
  { model = 'esp32-s3', version = '1.0.0', prefix = 'd' } = {},
): Promise<void> {
  await sql.query(
    `INSERT INTO devices (device_id, client_id, device_model, current_firmware_version, online, last_seen)
     SELECT :prefix || n, :prefix || n, :model, :version, true, now() FROM generate_series(0, :last::integer) AS n`,
    { prefix, model, version, last: count - 1 },
  );
}

export async function addRelease(
  sql: Sql,
  version: string,
  { model = 'esp32-s3', minVersion = null as string | null } = {},
): Promise<void> {
  await sql.query(
    `INSERT INTO firmware_releases (version, device_model, object_key, file_size, checksum_sha256, chip, min_version)
     VALUES (:version, :model, 'releases/x.bin', 1000, repeat('a', 64), 'ESP32-S3', :minVersion)`,
    { version, model, minVersion },
  );
}

/** A rollout as an operator's plain INSERT makes it. @returns its id */
export async function addRollout(
  sql: Sql,
  name: string,
  version: string,
  columns: Record<string, string | number | boolean> = {},
): Promise<number> {
  const names = Object.keys(columns);
  const [row] = await sql.query<{ id: number }>(
    `INSERT INTO rollout_configurations (name, firmware_version${names.map((column) => `, ${column}`).join('')})
     VALUES (:name, :version${names.map((column) => `, :${column}${column === 'target_filter' ? '::jsonb' : ''}`).join('')})
     RETURNING id`,
    { name, version, ...columns },
  );
  if (row === undefined) throw new Error('no rollout was made');
  return row.id;
}
