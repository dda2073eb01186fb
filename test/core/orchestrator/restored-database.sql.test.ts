import { execFileSync, spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());

/** Tables that this test writes, each after those that it refers to. */
const TABLES = [
  'devices',
  'firmware_releases',
  'rollout_configurations',
  'rollout_runtime',
  'device_update_status',
  'update_attempts',
  'ota_events',
];

/** Dumps a real server if there is one with its tools; otherwise copies the rows. */
const dumps = process.env.TEST_DATABASE_URL !== undefined && has('pg_dump') && has('pg_restore');
let dump: Buffer;

function has(program: string): boolean {
  return spawnSync(program, ['--version']).status === 0;
}

async function backUp(): Promise<void> {
  if (dumps) {
    const options = { maxBuffer: 64 * 1024 * 1024 };
    dump = execFileSync('pg_dump', ['--format=custom', `--dbname=${db.url}`], options);
    return;
  }
  for (const table of TABLES) await db.owner.query(`CREATE TABLE backup_${table} AS TABLE ${table}`);
}

/** Restores the earlier database, as a new one if it was dumped. */
async function restore(service: TestService): Promise<void> {
  if (dumps) {
    const server = await ownDatabase();
    if (server === undefined) throw new Error('TEST_DATABASE_URL names no server');
    execFileSync('pg_restore', ['--exit-on-error', `--dbname=${server.url}`], { input: dump });
    await db.close();
    // A deployment starts with this too.
    db = await openTestDatabase({ server });
    service.sql = db.app;
    return;
  }
  await db.owner.query(`TRUNCATE ${TABLES.join(', ')} RESTART IDENTITY CASCADE`);
  for (const table of TABLES) {
    const [row] = await db.owner.query<{ columns: string }>(
      `SELECT string_agg(column_name, ', ') AS columns FROM information_schema.columns
       WHERE table_name = :table AND is_generated = 'NEVER'`,
      { table },
    );
    await db.owner.query(
      `INSERT INTO ${table} (${row?.columns}) OVERRIDING SYSTEM VALUE SELECT ${row?.columns} FROM backup_${table}`,
    );
    await db.owner.query(
      `SELECT setval(pg_get_serial_sequence(:table, 'id'), (SELECT max((to_jsonb(b) ->> 'id')::bigint) FROM backup_${table} AS b))
       WHERE EXISTS (SELECT FROM information_schema.columns WHERE table_name = :table AND is_identity = 'YES')`,
      { table },
    );
  }
}

const DEVICES = ['d0', 'd1', 'd2', 'd3', 'd4', 'd5'];

test(`after an older backup (${dumps ? 'pg_dump' : 'a copy of the rows'}) was restored, reports of devices correct it and the rollout completes`, {
  timeout: 120_000,
}, async () => {
  await addDevices(db.app, DEVICES.length);
  await addRelease(db.app, '2.0.0');
  await addRollout(db.app, 'r', '2.0.0', { stages: [], max_in_flight: 2, probation_minutes: 0 });
  const service = new TestService(db.app);
  expect(await service.tick()).toEqual(['d0', 'd1']);
  await backUp();

  // The backup does not contain that d0, d1 and d2 were updated and that d3 was sent an update and rolls back.
  await service.succeed('d0', 'd1');
  expect(await service.tick()).toEqual(['d2', 'd3']);
  await service.succeed('d2');
  await service.fetch('d3');
  await restore(service);

  service.later(1);
  await service.result('d3', 0);
  await service.status('d3', '1.0.0', 100_000);
  for (const device of ['d0', 'd1', 'd2']) await service.status(device, '2.0.0', 600);
  const versions = new Map(DEVICES.map((device) => [device, device < 'd3' ? '2.0.0' : '1.0.0']));
  const told = new Set<string>();
  const isCompleted = async () => {
    const rows = await db.app.query('SELECT FROM rollout_configurations WHERE completed_at IS NOT NULL');
    return rows.length > 0;
  };
  for (let minutes = 0; minutes < 120 && !(await isCompleted()); minutes += 2) {
    service.later(1);
    for (const device of await service.tick()) told.add(device);
    for (const device of DEVICES) {
      if (!told.has(device)) continue;
      await service.fetch(device);
      await service.result(device, 0);
      told.delete(device);
      versions.set(device, '2.0.0');
    }
    service.later(1);
    for (const [device, version] of versions) await service.status(device, version, version === '2.0.0' ? 5 : 100_000);
  }

  const updates = await db.app.query<{ device_id: string; version: string; status: string }>(
    `SELECT device_id, d.current_firmware_version AS version, u.status
     FROM devices AS d JOIN device_update_status AS u USING (device_id) WHERE u.rollout_id = 1 ORDER BY device_id`,
  );
  expect(updates.map(({ version }) => version)).toEqual(DEVICES.map(() => '2.0.0'));
  expect(updates.filter(({ status }) => !['success', 'canceled'].includes(status))).toEqual([]);
  const [rollout] = await db.app.query(
    `SELECT in_flight, completed_at IS NOT NULL AS completed FROM rollout_runtime JOIN rollout_configurations ON id = rollout_id`,
  );
  expect(rollout).toEqual({ in_flight: 0, completed: true });
  // Devices that already ran the version received no command again.
  const again = service.sent.slice(4).map(({ deviceId }) => deviceId);
  expect(again.filter((device) => device < 'd3')).toEqual([]);
});
