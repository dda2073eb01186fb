import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DATABASE_ROLES, type DatabaseRole } from '../../../core/db/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { checkRoleGrants } from '../../support/role-grants.ts';
import { playRoleStories } from '../../support/role-stories.ts';

let db: TestDatabase;
beforeAll(async () => {
  // Migrated here: a copy of a migrated database does not have the privileges on it.
  const server = await ownDatabase();
  db = await openTestDatabase(server === undefined ? {} : { server });
});
afterAll(() => db?.close());

test('the functions of each role need each grant that it has', async () => {
  const statements = await playRoleStories(db);
  for (const role of ['public', 'ingest', 'control'] as const) {
    const checked = await checkRoleGrants(db, role, statements[role]);
    expect(checked.length).toBeGreaterThan(50);
    expect(checked.filter(({ refused }) => refused === null).map(({ grant }) => `${role}: ${grant}`)).toEqual([]);
  }
});

async function expectDenied(role: DatabaseRole, statement: string): Promise<void> {
  await expect(db.roles[role].query(statement)).rejects.toThrow('permission denied');
}

/** What no function may do, whatever code runs in it. */
const NOBODY: readonly [string, string][] = [
  ['change a checksum', `UPDATE firmware_releases SET checksum_sha256 = repeat('0', 64)`],
  ['change where an image is', `UPDATE firmware_releases SET object_key = 'releases/mine.bin'`],
  ['delete a release', `DELETE FROM firmware_releases`],
  ['delete a rollout', `DELETE FROM rollout_configurations`],
  ['delete a device', `DELETE FROM devices`],
  ['delete an event', `DELETE FROM ota_events`],
  ['change the payload of an event', `UPDATE ota_events SET payload = '{}'`],
  ['change when an event was received', `UPDATE ota_events SET received_at = now()`],
  ['delete the history at once', 'TRUNCATE ota_events'],
  ['write what triggers count', `UPDATE version_counts SET devices = 0`],
  ['read the passwords of roles', 'SELECT rolpassword FROM pg_authid'],
  ['create a table', 'CREATE TABLE mine (id integer)'],
  ['create a temporary table', 'CREATE TEMPORARY TABLE mine (id integer)'],
  ['switch a trigger off', 'ALTER TABLE ota_events DISABLE TRIGGER ALL'],
  ['record a migration', `INSERT INTO schema_migrations (version, name, checksum) VALUES (9, 'mine', 'x')`],
];

describe.each(['public', 'ingest', 'control'] as const)(
  'code that was taken over in the functions of the role %s',
  (role) => {
    test.each(NOBODY)('cannot %s', async (_, statement) => {
      await expectDenied(role, statement).catch((error: Error) => {
        if (!error.message.includes('must be owner')) throw error;
      });
    });
  },
);

/** What neither links nor messages of devices may do. */
const DECISIONS: readonly [string, string][] = [
  ['create a rollout', `INSERT INTO rollout_configurations (name, firmware_version) VALUES ('mine', '3.0.0')`],
  ['change a rollout', `UPDATE rollout_configurations SET firmware_version = '3.0.0'`],
  ['resume a rollout', `UPDATE rollout_runtime SET is_stopped = false`],
  ['register a release', `INSERT INTO firmware_releases (version, device_model) VALUES ('9.9.9', 'esp32-s3')`],
  ['undo the revocation of a release', `UPDATE firmware_releases SET revoked_at = NULL`],
  ['undo the revocation of a device', `UPDATE devices SET revoked_at = NULL`],
  ['give an update another release', `UPDATE device_update_status SET release_id = 2`],
  ['delete an update', `DELETE FROM device_update_status`],
  [
    'assign an update to a rollout',
    `INSERT INTO device_update_status (device_id, rollout_id, firmware_version) VALUES ('d0', 1, '3.0.0')`,
  ],
  [
    'record a decision',
    `INSERT INTO ota_events (rollout_id, event_type, received_at, payload_hash) VALUES (1, 'rollout_halted', now(), 'x')`,
  ],
  [
    'record an action of an operator',
    `INSERT INTO ota_events (device_id, event_type, received_at, payload_hash) VALUES ('d0', 'device_revoked', now(), 'x')`,
  ],
  ['delete old events', `SELECT delete_old_events(now(), 10)`],
  ['put a device in a group', `INSERT INTO device_groups (device_id, group_name) VALUES ('d0', 'mine')`],
  ['allow a device', `INSERT INTO allowed_devices (device_id, allowed_at, allowed_by) VALUES ('x', now(), 'x')`],
  [
    'take the lease of the orchestrator',
    `INSERT INTO leases (name, holder, expires_at) VALUES ('orchestrate', 'me', 'infinity')`,
  ],
  [
    'count what did not happen',
    `INSERT INTO version_counts (device_model, firmware_version, devices) VALUES ('x', 'x', 1)`,
  ],
  ['read the attributes of devices', 'SELECT metadata FROM devices'],
  ['read who may allow devices', 'SELECT allowed_by FROM allowed_devices'],
  ['read rejected messages', 'SELECT payload FROM rejected_messages'],
  ['read checksums', 'SELECT checksum_sha256 FROM firmware_releases'],
  ['read what operators read', 'SELECT * FROM device_timeline'],
];

describe.each(['public', 'ingest'] as const)('code that was taken over in the functions of the role %s', (role) => {
  test.each(DECISIONS)('cannot %s', async (_, statement) => {
    await expectDenied(role, statement);
  });
});

describe('code that was taken over in the functions of the role public', () => {
  test.each([
    [
      'end an update',
      `UPDATE device_update_status SET status = 'success', completed_at = now() WHERE device_id = 'd1'`,
    ],
    ['record that an image was installed', 'UPDATE device_update_status SET installed_at = now()'],
    ['change an attempt', `UPDATE update_attempts SET reason = 'mine'`],
    [
      'record a report of a device',
      `INSERT INTO ota_events (device_id, event_type, received_at, payload_hash) VALUES ('d0', 'result', now(), 'x')`,
    ],
    ['change a device', `UPDATE devices SET device_model = 'esp32-c3'`],
    ['renew an entry of the list of expected devices', `UPDATE allowed_devices SET allowed_at = now()`],
    ['assign an event to another update', 'UPDATE ota_events SET update_id = 1'],
  ])('cannot %s', async (_, statement) => {
    await expectDenied('public', statement);
  });
});

test.each(['ingest', 'control'] as const)(
  'an event is assigned to an update once, also by the role %s',
  async (role) => {
    await db.owner.query(
      `INSERT INTO ota_events (device_id, update_id, event_type, received_at, payload_hash, published_at)
     VALUES ('moved', 1, 'result', now(), :role, now())`,
      { role },
    );
    const change = role === 'ingest' ? 'update_id = 2' : 'published_at = NULL';
    await expectDenied(role, `UPDATE ota_events SET ${change} WHERE device_id = 'moved'`);
  },
);

test('housekeeping cannot delete events of the last week, whatever time it names', async () => {
  const add = (hash: string, days: number) =>
    db.owner.query(
      `INSERT INTO ota_events (device_id, event_type, received_at, payload_hash)
       VALUES ('old', 'status', now() - make_interval(days => :days::integer), :hash)`,
      { hash, days },
    );
  await add('six days', 6);
  await add('eight days', 8);
  await db.roles.control.query(`SELECT delete_old_events('2100-01-01', 1000) AS deleted`);
  expect(await db.owner.query(`SELECT payload_hash FROM ota_events WHERE device_id = 'old'`)).toEqual([
    { payload_hash: 'six days' },
  ]);
});

test('no role can run the triggers that count with rows of its own', async () => {
  await db.owner.query('CREATE SCHEMA yard');
  for (const role of ['public', 'ingest', 'control'] as const) {
    await db.owner.query(`GRANT USAGE, CREATE ON SCHEMA yard TO ${DATABASE_ROLES[role]}`);
    const attack = db.roles[role].transaction(async (sql) => {
      await sql.query('CREATE TABLE yard.mine (device_model text)');
      await sql.query(
        'CREATE TRIGGER mine AFTER INSERT ON yard.mine FOR EACH ROW EXECUTE FUNCTION count_device_version()',
      );
    });
    await expect(attack).rejects.toThrow('permission denied for function count_device_version');
  }
});
