import { afterEach, describe, expect, test } from 'vitest';
import type { Sql } from '../../../core/db/database.ts';
import { migrate } from '../../../core/db/migrations.ts';
import { migrations } from '../../../schema/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addRelease } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
afterEach(() => db?.close());

const earlier = migrations.slice(0, -1).map(({ version, name }) => [version, name] as const);
const upTo = (version: number) => migrations.filter((migration) => migration.version <= version);

/** The tables that have rows of users, by the migration that made them, with what is written into each. */
const WRITTEN: Readonly<Record<number, readonly string[]>> = {
  1: [
    `INSERT INTO device_groups (device_id, group_name) VALUES ('d0', 'vans')`,
    `INSERT INTO ota_events (device_id, rollout_id, update_id, attempt, event_type, received_at, payload_hash)
     SELECT 'd0', 1, 1, 1, 'accepted', now(), md5(n::text) FROM generate_series(1, 3) AS n`,
    `INSERT INTO ota_events (rollout_id, event_type, received_at, payload_hash) VALUES (1, 'rollout_started', now(), 'x')`,
    `INSERT INTO rejected_messages (topic, reason, payload, payload_bytes, payload_sha256, received_at)
     VALUES ('paku/edge/d0/status', 'why', '', 0, 'x', now())`,
    `INSERT INTO rejected_uploads (object_key, object_version, file_size, verdict, message, uploaded_at)
     VALUES ('firmware/1/m.bin', 'v', 1, 'ELF', 'why', now())`,
    `INSERT INTO model_chips (device_model, chip) VALUES ('esp32-s3', 'ESP32-S3')`,
    `INSERT INTO leases (name, holder, expires_at) VALUES ('orchestrate', 'x', now())`,
  ],
  2: [
    `INSERT INTO rollout_stages (rollout_id, stage, threshold, size, claimed, began_at)
     SELECT 1, 0, repeat('f', 32), 4, 3, min(last_seen) FROM devices`,
  ],
  3: [
    `INSERT INTO fleet_versions (sampled_at, device_model, firmware_version, devices) VALUES (now(), 'esp32-s3', '1.0.0', 4)`,
  ],
  6: [`INSERT INTO allowed_devices (device_id, allowed_at, allowed_by) VALUES ('d9', now(), 'x')`],
};

async function writeEverywhere(sql: Sql, version: number): Promise<void> {
  for (const [since, statements] of Object.entries(WRITTEN)) {
    if (Number(since) > version) continue;
    for (const statement of statements) await sql.query(statement);
  }
}

/** Tables without a row. */
async function emptyTables(sql: Sql): Promise<string[]> {
  const tables = await sql.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables
     WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1`,
  );
  const empty: string[] = [];
  for (const { name } of tables) {
    if ((await sql.query(`SELECT 1 FROM ${name} LIMIT 1`)).length === 0) empty.push(name);
  }
  return empty;
}

/**
 * A rollout half-way, in the columns of the first schema: d0 runs the target, d1 was sent its command, d2 is owed one, d3
 * has yet to be found.
 */
async function leaveHalfWay(sql: Sql, now: Date): Promise<void> {
  await sql.query(
    `INSERT INTO devices (device_id, client_id, current_firmware_version, online, last_seen)
     SELECT 'd' || n, 'd' || n, CASE n WHEN 0 THEN '2.0.0' ELSE '1.0.0' END, true, :now::timestamptz
     FROM generate_series(0, 3) AS n`,
    { now },
  );
  await addRelease(sql, '2.0.0');
  await sql.query(
    `INSERT INTO rollout_configurations (name, firmware_version, member_threshold, survival_minutes)
     VALUES ('r', '2.0.0', repeat('f', 32), 0)`,
  );
  await sql.query('INSERT INTO rollout_pace (rollout_id, in_flight) VALUES (1, 1)');
  await sql.query(
    `INSERT INTO device_update_status (device_id, rollout_id, release_id, firmware_version, previous_version, status,
       attempt, sends, started_at, sent_at, confirmed_at, deadline_at, enqueue_after, completed_at, closed_at, slot_held)
     SELECT u.device_id, 1, 1, '2.0.0', '1.0.0', u.status, u.attempt, u.attempt, u.sent_at, u.sent_at, u.closed_at,
       :now::timestamptz + CASE u.status WHEN 'pending' THEN interval '30 days' ELSE interval '15 minutes' END,
       CASE u.status WHEN 'pending' THEN :now::timestamptz END, u.closed_at, u.closed_at, u.status = 'sent'
     FROM (VALUES
       ('d0', 'success', 1, :now::timestamptz - interval '1 hour', :now::timestamptz - interval '50 minutes'),
       ('d1', 'sent', 1, :now::timestamptz - interval '1 minute', NULL),
       ('d2', 'pending', 0, NULL, NULL)) AS u(device_id, status, attempt, sent_at, closed_at)`,
    { now },
  );
  await sql.query(
    `INSERT INTO update_attempts (update_id, attempt, device_id, version, sent_at, command_family, delivery, outcome)
     SELECT id, 1, device_id, firmware_version, sent_at, 'devices', 'redirect', 'acknowledged'
     FROM device_update_status WHERE attempt = 1`,
  );
}

describe('a database of schema', () => {
  test.each(earlier)(
    '%i (%s) with a rollout half-way is migrated, and the rollout comes to its end',
    async (version) => {
      db = await openTestDatabase({ migrated: false });
      await migrate(db.owner, upTo(version), 'a-password');
      const service = new TestService(db.app);
      await leaveHalfWay(db.app, service.now);
      await writeEverywhere(db.owner, version);
      expect(await emptyTables(db.owner)).toEqual([]);

      const { applied } = await migrate(db.owner, migrations, 'a-password');
      expect(applied).toEqual(migrations.slice(version).map((migration) => migration.version));
      // The device that was sent its command by the version before reports to this one.
      await service.result('d1', 0);
      service.later(1);
      await service.status('d1', '2.0.0', 5);
      const left = new Set(['d2', 'd3']);
      for (let looks = 0; looks < 40 && left.size > 0; looks++) {
        service.later(1);
        for (const device of await service.tick()) {
          await service.succeed(device);
          left.delete(device);
        }
      }
      for (let looks = 0; looks < 3; looks++) {
        service.later(10);
        await service.tick();
      }
      expect(
        await db.app.query(
          `SELECT device_id, current_firmware_version AS version, u.status, u.closed_at IS NOT NULL AS closed
         FROM devices JOIN device_update_status AS u USING (device_id) ORDER BY device_id`,
        ),
      ).toEqual(
        ['d0', 'd1', 'd2', 'd3'].map((device_id) => ({ device_id, version: '2.0.0', status: 'success', closed: true })),
      );
      expect(await db.app.query('SELECT in_flight FROM rollout_pace')).toEqual([{ in_flight: 0 }]);
      expect(service.sent.map(({ deviceId }) => deviceId).sort()).toEqual(['d2', 'd3']);
    },
  );
});

interface Column {
  readonly name: string;
  readonly type: string;
  readonly may_be_left_out: boolean;
}

const columnsOf = (sql: Sql) =>
  sql.query<Column>(
    `SELECT table_name || '.' || column_name AS name, data_type AS type,
       is_nullable = 'YES' OR column_default IS NOT NULL OR is_identity = 'YES' AS may_be_left_out
     FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1`,
  );

/** The functions of the version before go on while a deployment runs, and after one that was rolled back. */
test('each migration lets the statements of the version before go on: it takes no column away, and asks for no new one', async () => {
  db = await openTestDatabase({ migrated: false });
  let before: Column[] = [];
  for (const { version } of migrations) {
    await migrate(db.owner, upTo(version), 'a-password');
    const after = await columnsOf(db.owner);
    expect(after).toEqual(expect.arrayContaining(before));
    const tables = new Set(before.map(({ name }) => name.split('.')[0]));
    const known = new Set(before.map(({ name }) => name));
    const demanded = after.filter(({ name, may_be_left_out }) => {
      return tables.has(name.split('.')[0]) && !known.has(name) && !may_be_left_out;
    });
    expect(demanded).toEqual([]);
    before = after;
  }
});
