import type { Sql } from './database.ts';

/**
 * Takes a lease unless another holder has it. A lease expires, so a holder that crashes does not block others for long.
 * @returns true if the caller holds the lease now
 */
export async function takeLease(sql: Sql, name: string, holder: string, now: Date, seconds: number): Promise<boolean> {
  const rows = await sql.query(
    `INSERT INTO leases AS l (name, holder, expires_at)
     VALUES (:name, :holder, :now::timestamptz + make_interval(secs => :seconds))
     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
     WHERE l.expires_at <= :now::timestamptz OR l.holder = excluded.holder
     RETURNING name`,
    { name, holder, now, seconds },
  );
  return rows.length > 0;
}

export async function releaseLease(sql: Sql, name: string, holder: string): Promise<void> {
  await sql.query('DELETE FROM leases WHERE name = :name AND holder = :holder', { name, holder });
}
