import { createHash } from 'node:crypto';
import * as z from 'zod';
import type { Migration } from '../../schema/index.ts';
import type { Database, Sql } from './database.ts';
import { OtaError, SqlError } from './errors.ts';
import { DATABASE_ROLES, type DatabaseRole, type RolePasswords } from './roles.ts';
import { type RowOf, select } from './select.ts';

export interface MigrationResult {
  readonly applied: readonly number[];
  /** The newest version in the database; higher than `migrations` if a later release has migrated this database. */
  readonly schemaVersion: number;
}

/**
 * Code of the error of {@link migrate} for a database with another schema. Its message starts with this code, because a
 * custom resource passes on only the text of an error.
 */
export const SCHEMA_MISMATCH = 'schema-mismatch';

/**
 * Applies all missing migrations and sets the passwords of the functions' roles. Safe to repeat, and safe if two run at once:
 * each migration first inserts its version row inside its transaction, so a second runner waits there and then finds
 * the migration applied.
 * @throws OtaError with {@link SCHEMA_MISMATCH} if a migration was applied with other statements; nothing is changed
 * then
 */
export async function migrate(
  database: Database,
  migrations: readonly Migration[],
  passwords: RolePasswords,
): Promise<MigrationResult> {
  await ensureVersionTable(database);
  const recorded = await listAppliedMigrations(database);
  refuseOtherSchema(recorded, migrations);
  await ensureRoles(database, passwords);
  const before = recorded.at(-1)?.version ?? 0;
  const applied: number[] = [];
  for (const migration of migrations.filter(({ version }) => version > before)) {
    if (await apply(database, migration)) applied.push(migration.version);
  }
  return { applied, schemaVersion: await schemaVersion(database) };
}

/** 0 for a database that was never migrated. */
export async function schemaVersion(sql: Sql): Promise<number> {
  const [row] = await select(
    sql,
    z.strictObject({ version: z.int() }),
    'SELECT coalesce(max(version), 0) AS version FROM schema_migrations',
  );
  return row?.version ?? 0;
}

const appliedMigration = z.strictObject({
  version: z.int(),
  name: z.string(),
  /** Null if the migration was applied before checksums were stored. */
  checksum: z.string().nullable(),
});
type AppliedMigration = RowOf<typeof appliedMigration>;

/** Ordered by version. Reads the column `checksum` through JSON, because the oldest databases do not have it. */
function listAppliedMigrations(sql: Sql): Promise<AppliedMigration[]> {
  return select(
    sql,
    appliedMigration,
    `SELECT version, name, to_jsonb(m) ->> 'checksum' AS checksum FROM schema_migrations AS m ORDER BY version`,
  );
}

/**
 * Refuses a database whose migrations differ from these. Newer migrations are ignored: a later version applied them,
 * and they work with this version.
 */
function refuseOtherSchema(applied: readonly AppliedMigration[], migrations: readonly Migration[]): void {
  const unchecked = applied.findLast(({ checksum }) => checksum === null);
  if (unchecked !== undefined) {
    const { version, name } = unchecked;
    throw mismatch(`the newest of its migrations, ${version} (${name}), was applied before checksums were kept`);
  }
  for (const { version, name, checksum } of applied) {
    const known = migrations.find((migration) => migration.version === version);
    if (known === undefined) continue;
    const expected = checksumOf(splitStatements(known.sql));
    if (checksum === expected) continue;
    throw mismatch(
      `migration ${version} (${name}) was applied with checksum ${shorten(checksum)}, this version has ${shorten(expected)}`,
    );
  }
}

const mismatch = (difference: string) =>
  new OtaError(
    SCHEMA_MISMATCH,
    `${SCHEMA_MISMATCH}: ${difference}; nothing was changed. Use the version of paku-ota that made this database, or start with an empty one.`,
  );

const shorten = (checksum: string | null) => `${checksum?.slice(0, 12)}…`;

/** Checksum of the statements that are run; comments, blank lines and line ends do not count. */
const checksumOf = (statements: readonly string[]) =>
  createHash('sha256').update(statements.join(';\n').replaceAll('\r', '')).digest('hex');

async function apply(database: Database, { version, name, sql }: Migration): Promise<boolean> {
  const statements = splitStatements(sql);
  try {
    await database.transaction(async (transaction) => {
      await transaction.query(
        'INSERT INTO schema_migrations (version, name, checksum) VALUES (:version, :name, :checksum)',
        { version, name, checksum: checksumOf(statements) },
      );
      for (const statement of statements) await transaction.query(statement);
    });
    return true;
  } catch (error) {
    if (isDuplicate(error) && (await schemaVersion(database)) >= version) return false;
    throw new OtaError(
      'migration-failed',
      `Migration ${version} (${name}) failed and was rolled back: ${text(error)}`,
      {
        cause: error,
      },
    );
  }
}

async function ensureVersionTable(database: Database): Promise<void> {
  await tolerateConcurrentCreation(() =>
    database.query(`CREATE TABLE IF NOT EXISTS schema_migrations (
      version    integer PRIMARY KEY,
      name       text NOT NULL,
      checksum   text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now()
    )`),
  );
}

/**
 * Passes the password as a parameter and quotes it on the server (format's %L), because role statements take no
 * parameters.
 */
async function ensureRoles(database: Database, passwords: RolePasswords): Promise<void> {
  for (const role of Object.keys(DATABASE_ROLES) as DatabaseRole[]) {
    await tolerateConcurrentCreation(() =>
      database.transaction(async (sql) => {
        await sql.query(`SELECT set_config('paku.role', :name, true), set_config('paku.password', :password, true)`, {
          name: DATABASE_ROLES[role],
          password: passwords[role],
        });
        await sql.query(SET_PASSWORD);
      }),
    );
  }
}

/** Creates the role of the setting `paku.role` if it is missing, and sets its password. */
const SET_PASSWORD = `DO $$
  DECLARE
    role text := current_setting('paku.role');
  BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      EXECUTE format('CREATE ROLE %I LOGIN', role);
    END IF;
    EXECUTE format('ALTER ROLE %I PASSWORD %L', role, current_setting('paku.password'));
  END
$$`;

/**
 * A role belongs to all databases of a server, and each database's migration sets its password; this many may collide.
 */
const MAX_TRIES = 10;

/**
 * When several runners create the same object at once, all but one get a duplicate error or "tuple concurrently
 * updated".
 */
async function tolerateConcurrentCreation(create: () => Promise<unknown>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await create();
      return;
    } catch (error) {
      const wasBeaten = isDuplicate(error) || (error instanceof SqlError && error.sqlState === 'XX000');
      if (!wasBeaten || tries === MAX_TRIES) throw error;
    }
  }
}

function isDuplicate(error: unknown): boolean {
  return error instanceof SqlError && ['23505', '42P07', '42710'].includes(error.sqlState);
}

const text = (error: unknown) => (error instanceof Error ? error.message : String(error));

/**
 * Splits a script into single statements, at semicolons that end a line outside of dollar quotes. Comment lines are
 * dropped.
 */
export function splitStatements(sql: string): string[] {
  const statements: string[] = [];
  let current: string[] = [];
  let inDollarQuote = false;
  for (const line of sql.split('\n')) {
    if (!inDollarQuote && (line.trim() === '' || line.trimStart().startsWith('--'))) continue;
    current.push(line);
    if ((line.split('$$').length - 1) % 2 === 1) inDollarQuote = !inDollarQuote;
    if (!inDollarQuote && line.trimEnd().endsWith(';')) {
      statements.push(current.join('\n').trimEnd().slice(0, -1));
      current = [];
    }
  }
  if (current.length > 0) statements.push(current.join('\n'));
  return statements;
}
