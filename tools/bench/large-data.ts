import pg from 'pg';
import { compactCounters } from '../../core/orchestrator/index.ts';
import { openDatabaseAt } from '../../test/support/database.ts';
import { DEVICE_ID, MODEL, makeFleet } from './fleet-data.ts';

const NAME = 'paku_bench_large';
export const LARGE = { devices: 1_000_000, rollouts: 10 };

/** URL of the server on which benchmarks create databases. @throws Error if there is none */
export function serverUrl(): string {
  const url = process.env.TEST_DATABASE_URL;
  if (url === undefined || url === '') {
    throw new Error('TEST_DATABASE_URL is not set: expected postgresql://user@host:port/database of a server');
  }
  return url;
}

/**
 * Opens a database with a million devices and ten million device updates of ten rollouts to all devices. Nine rollouts
 * are complete and the newest has done two thirds. It is created once, which takes minutes, and kept until `npm run
 * bench -- drop`.
 */
export async function openLargeDatabase(log: (line: string) => void): Promise<string> {
  const url = new URL(serverUrl());
  const isNew = await withClient(url.href, async (client) => {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [NAME]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${NAME}`);
    return rowCount === 0;
  });
  url.pathname = `/${NAME}`;
  if (isNew) await fill(url.href, log);
  return url.href;
}

export async function dropLargeDatabase(): Promise<void> {
  await withClient(serverUrl(), (client) => client.query(`DROP DATABASE IF EXISTS ${NAME} WITH (FORCE)`));
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return work(client).finally(() => client.end());
}

async function fill(url: string, log: (line: string) => void): Promise<void> {
  const db = await openDatabaseAt(url);
  log('devices');
  await makeFleet(db.owner, LARGE.devices);
  await db.close();
  await withClient(url, async (client) => {
    // Rows are inserted before constraints, indexes and counters, as in a restore.
    await client.query('SET session_replication_role = replica');
    const { rows: indexes } = await client.query<{ name: string; definition: string }>(
      `SELECT indexname AS name, indexdef AS definition FROM pg_indexes
       WHERE tablename = 'device_update_status' AND indexname <> 'device_update_status_pkey'`,
    );
    for (const { name } of indexes) await client.query(`DROP INDEX ${name}`);
    for (let n = 1; n <= LARGE.rollouts; n++) {
      log(`rollout ${n}`);
      await createRollout(client, n);
    }
    for (const { name, definition } of indexes) {
      log(name);
      await client.query(definition);
    }
    log('counts');
    for (const statement of COUNTS) await client.query(statement);
    await client.query('TRUNCATE device_changes');
  });
  const filled = await openDatabaseAt(url, false);
  await compactCounters(filled.app);
  await filled.close();
  await withClient(url, (client) => client.query('VACUUM ANALYZE'));
}

/** Inserts the updates of a rollout: 97% succeeded in a complete one, and the newest has a third to do. */
async function createRollout(client: pg.Client, rollout: number): Promise<void> {
  const isNewest = rollout === LARGE.rollouts;
  await client.query(
    `INSERT INTO firmware_releases (version, device_model, object_key, file_size, checksum_sha256, chip)
     VALUES ($1, $2, 'releases/x.bin', 1000000, repeat('a', 64), 'ESP32-S3')`,
    [`2.${rollout}.0`, MODEL],
  );
  await client.query(
    `INSERT INTO rollout_configurations (name, firmware_version, device_model, stages, target_hash_cutoff, created_at, completed_at)
     VALUES ($1, $2, $3, '[]', repeat('f', 32), now() - make_interval(days => $4),
       CASE WHEN $5 THEN now() - make_interval(days => $4 - 3) END)`,
    [`rollout ${rollout}`, `2.${rollout}.0`, MODEL, 30 * (LARGE.rollouts - rollout + 1), !isNewest],
  );
  await client.query('INSERT INTO rollout_runtime (rollout_id, start_limit) VALUES ($1, NULL)', [rollout]);
  await client.query(
    `INSERT INTO rollout_stages (rollout_id, stage, hash_cutoff, later_cutoff, target_count, began_at) VALUES ($1, 0, repeat('f', 32), repeat('f', 32), $2, now())`,
    [rollout, LARGE.devices],
  );
  await client.query(
    `INSERT INTO device_update_status (device_id, rollout_id, release_id, firmware_version, previous_version, status, attempt,
       sends, error_message, created_at, sent_at, started_at, reported_at, booted_at, deadline_at, enqueue_after, completed_at,
       is_counted, counts_as_started)
     SELECT ${DEVICE_ID}, $1, $1, $2, '1.0.0', CASE s.status WHEN 'on_probation' THEN 'success' ELSE s.status END, CASE WHEN s.status = 'pending' THEN 0 ELSE 1 END,
       CASE WHEN s.status = 'pending' THEN 0 ELSE 1 END,
       CASE WHEN s.status IN ('failed', 'timed_out') THEN 'reason ' || n % 7 END,
       t.began, t.began, t.began, t.began, CASE WHEN s.status IN ('on_probation', 'success') THEN t.began END,
       CASE WHEN NOT s.is_closed THEN now() + make_interval(secs => n % 3600) END,
       t.began, CASE WHEN s.is_closed THEN t.began + interval '5 minutes' END, s.is_closed, s.status <> 'pending'
     FROM generate_series(1, $3::integer) AS n
     CROSS JOIN LATERAL (SELECT CASE WHEN $4::boolean AND n % 3 = 0 THEN CASE n % 60 WHEN 0 THEN 'downloading' WHEN 30 THEN 'on_probation' ELSE 'pending' END
       WHEN n % 100 < 97 THEN 'success' WHEN n % 100 = 97 THEN 'failed' WHEN n % 100 = 98 THEN 'timed_out'
       ELSE 'canceled' END AS status) AS c
     CROSS JOIN LATERAL (SELECT c.status, c.status NOT IN ('pending', 'downloading', 'on_probation') AS is_closed) AS s
     CROSS JOIN LATERAL (
       SELECT now() - make_interval(days => $5, secs => 0.2 * n) AS began) AS t`,
    [rollout, `2.${rollout}.0`, LARGE.devices, isNewest, 30 * (LARGE.rollouts - rollout)],
  );
}

/** Fills the counters from the rows. */
const COUNTS = [
  `INSERT INTO update_counts
   SELECT rollout_id, stage, counted_state(status, completed_at), is_reclaimable, counted_reason(status, error_message), count(*)
   FROM device_update_status WHERE NOT is_replaced GROUP BY 1, 2, 3, 4, 5`,
  `INSERT INTO outcome_counts
   SELECT rollout_id, counted_end(status, completed_at), status = 'success', count(*)
   FROM device_update_status WHERE counted_end(status, completed_at) IS NOT NULL GROUP BY 1, 2, 3`,
];
