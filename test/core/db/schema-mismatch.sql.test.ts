import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { migrate } from '../../../core/db/migrations.ts';
import type { Migration } from '../../../schema/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';

const FIRST: Migration = { version: 1, name: 'initial', sql: 'CREATE TABLE first (id integer);\n' };
const SECOND: Migration = { version: 2, name: 'second', sql: 'CREATE TABLE second (id integer);\n' };

let db: TestDatabase;
beforeEach(async () => {
  db = await openTestDatabase({ migrated: false });
});
afterEach(() => db?.close());

const apply = (...migrations: Migration[]) => migrate(db.owner, migrations, { public: 'a', ingest: 'b', control: 'c' });
const tables = async () =>
  (
    await db.owner.query<{ name: string }>(
      `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename`,
    )
  ).map(({ name }) => name);

/** As versions before checksums left a database: a row per migration. */
async function migrateWithoutChecksums(newest: number): Promise<void> {
  await db.owner.query(`CREATE TABLE schema_migrations (
    version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`);
  await db.owner.query(
    `INSERT INTO schema_migrations (version, name)
     SELECT n, CASE n WHEN 1 THEN 'initial' WHEN 13 THEN 'rejections_by_time' ELSE 'other' END
     FROM generate_series(1, :newest::integer) AS n`,
    { newest },
  );
}

describe('a database that was migrated', () => {
  test('keeps the checksum of each migration, and is migrated again without a change', async () => {
    expect(await apply(FIRST)).toEqual({ applied: [1], schemaVersion: 1 });
    const recorded = await db.owner.query('SELECT version, name, checksum FROM schema_migrations');
    expect(recorded).toEqual([{ version: 1, name: 'initial', checksum: expect.stringMatching(/^[0-9a-f]{64}$/) }]);
    expect(await apply(FIRST, SECOND)).toEqual({ applied: [2], schemaVersion: 2 });
    expect(await apply(FIRST, SECOND)).toEqual({ applied: [], schemaVersion: 2 });
  });

  test('is migrated again where only comments, blank lines or line ends of a file have changed', async () => {
    await apply(FIRST);
    const sql = `-- A comment.\r\n\r\n${FIRST.sql.replaceAll('\n', '\r\n')}`;
    expect(await apply({ ...FIRST, sql })).toEqual({ applied: [], schemaVersion: 1 });
  });

  test('by a later version is left as it is by an earlier one', async () => {
    await apply(FIRST, SECOND);
    expect(await apply(FIRST)).toEqual({ applied: [], schemaVersion: 2 });
  });
});

describe('a database of another schema', () => {
  test('is refused with the migration that differs, and nothing in it is changed', async () => {
    await apply(FIRST);
    const edited = { ...FIRST, sql: 'CREATE TABLE first (id bigint);\n' };
    await expect(apply(edited, SECOND)).rejects.toThrow(
      /^schema-mismatch: migration 1 \(initial\) was applied with checksum [0-9a-f]{12}…, this version has [0-9a-f]{12}…;.*nothing was changed/,
    );
    expect(await tables()).toEqual(['first', 'schema_migrations']);
  });

  test('is refused where it was made before checksums were kept', async () => {
    await migrateWithoutChecksums(13);
    await expect(apply(FIRST)).rejects.toThrow(
      /^schema-mismatch: the newest of its migrations, 13 \(rejections_by_time\), was applied before checksums were kept;/,
    );
    expect(await tables()).toEqual(['schema_migrations']);
    expect(await db.owner.query('SELECT count(*)::integer AS migrations FROM schema_migrations')).toEqual([
      { migrations: 13 },
    ]);
  });

  test('is refused where it was made before checksums were kept, with as many migrations as this version has', async () => {
    await migrateWithoutChecksums(1);
    await expect(apply(FIRST)).rejects.toThrow('schema-mismatch: the newest of its migrations, 1 (initial),');
  });
});
