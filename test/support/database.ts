import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DATABASE_ROLES, type DatabaseRole, dataApiDatabase, migrate } from '../../core/db/index.ts';
import { dataApiService, openPglite, openPostgres } from '../../local/services/rds-data/index.ts';
import { Secrets } from '../../local/services/secrets/index.ts';
import { directDataApi } from './direct-data-api.ts';
import { emptierOf } from './empty-tables.ts';
import { readMigrations } from './migrations.ts';
import { type OwnDatabase, ownDatabase } from './own-database.ts';
import { type TypedDatabase, typed } from './test-sql.ts';

/** A migrated database behind a Data API endpoint, as functions use it. */
export interface TestDatabase {
  /** Statements of tests, and of functions where their role does not matter: they run as the owner of the schema. */
  readonly app: TypedDatabase;
  /** Statements run as the owner of the schema, like the migration. */
  readonly owner: TypedDatabase;
  /** Statements run as the role of a function. */
  readonly roles: Readonly<Record<DatabaseRole, TypedDatabase>>;
  /** Statements run as another role, which the test creates. */
  as(role: string): TypedDatabase;
  /** URL of the database; undefined on PGlite. */
  readonly url: string | undefined;
  /** True if statements can run concurrently. */
  readonly isConcurrent: boolean;
  /** Deletes all rows and restarts ids at 1, so that the tests of a file can share a database. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

const CLUSTER = 'arn:aws:rds:eu-west-1:000000000000:cluster:test';
const TESTER = 'arn:aws:iam::000000000000:user/tester';

/** Opens PGlite in memory, or a new database on the server of TEST_DATABASE_URL. */
export async function openTestDatabase({
  migrated = true,
  server: given,
}: {
  readonly migrated?: boolean;
  /** An existing database instead of a new one. It is dropped at the end. */
  readonly server?: OwnDatabase;
} = {}): Promise<TestDatabase> {
  const server = given ?? (await ownDatabase({ migrated }));
  const database = await openDatabaseAt(server?.url, migrated);
  return { ...database, close: () => database.close().then(() => server?.drop()) };
}

/** Opens the database of a URL, which is not dropped when it is closed, or PGlite in memory without a URL. */
export async function openDatabaseAt(url: string | undefined, migrated = true): Promise<TestDatabase> {
  const folder = mkdtempSync(join(tmpdir(), 'paku-ota-sql-'));
  const engine = url === undefined ? await openPglite() : openPostgres(url);
  const secrets = new Secrets(join(folder, 'secrets.json'));
  const secretOf = (username: string) =>
    secrets.getOrCreate(username, () => JSON.stringify({ username, password: randomBytes(9).toString('hex') })).arn;
  const service = dataApiService({ engine, secrets, clusterArns: [CLUSTER] });
  const client = directDataApi(service, { name: 'tester', arn: TESTER, allows: () => true });
  const as = (username: string) =>
    typed(dataApiDatabase(client, { resourceArn: CLUSTER, secretArn: secretOf(username), database: 'paku_ota' }));
  const owner = as('paku_owner');
  if (migrated) await migrate(owner, readMigrations(), { public: 'a', ingest: 'b', control: 'c' });
  const emptier = emptierOf(url, owner);
  return {
    app: owner,
    owner,
    roles: {
      public: as(DATABASE_ROLES.public),
      ingest: as(DATABASE_ROLES.ingest),
      control: as(DATABASE_ROLES.control),
    },
    as,
    url,
    isConcurrent: url !== undefined,
    empty: emptier.empty,
    async close() {
      await emptier.close();
      await engine.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
