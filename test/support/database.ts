import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RDSDataClient } from '@aws-sdk/client-rds-data';
import { type Database, dataApiDatabase, migrate, type Sql } from '../../core/db/index.ts';
import { compilePolicy, Identities, startAwsServer } from '../../local/kernel/index.ts';
import { dataApiService, openPglite, openPostgres } from '../../local/services/rds-data/index.ts';
import { Secrets } from '../../local/services/secrets/index.ts';
import { readMigrations } from './migrations.ts';
import { type OwnDatabase, ownDatabase } from './own-database.ts';

/** A migrated database behind a Data API endpoint, as functions see it. */
export interface TestDatabase {
  /** As the role of the functions: rows only. */
  readonly app: Database;
  /** As the role of the migration. */
  readonly owner: Database;
  /** As another role, which the test has made. */
  as(role: string): Database;
  /** Of the server's database; undefined on PGlite. */
  readonly url: string | undefined;
  /** True where statements really run at the same time. */
  readonly isConcurrent: boolean;
  /** Removes all rows, so that the tests of a file can share one database; ids begin at 1 again. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

const REGION = 'eu-west-1';
const CLUSTER = 'arn:aws:rds:eu-west-1:000000000000:cluster:test';
const ANYTHING = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] };

/** PGlite in memory, or a database of its own on the server that TEST_DATABASE_URL names. */
export async function openTestDatabase({
  migrated = true,
  server: given,
}: {
  readonly migrated?: boolean;
  /** One that is there, instead of a new one; dropped at the end. */
  readonly server?: OwnDatabase;
} = {}): Promise<TestDatabase> {
  const server = given ?? (await ownDatabase());
  const database = await openDatabaseAt(server?.url, migrated);
  return { ...database, close: () => database.close().then(() => server?.drop()) };
}

/** The database of a URL, which stays when it is closed; PGlite in memory without one. */
export async function openDatabaseAt(url: string | undefined, migrated = true): Promise<TestDatabase> {
  const folder = mkdtempSync(join(tmpdir(), 'paku-ota-sql-'));
  const engine = url === undefined ? await openPglite() : openPostgres(url);
  const secrets = new Secrets(join(folder, 'secrets.json'));
  const secretOf = (username: string) =>
    secrets.getOrCreate(username, () => JSON.stringify({ username, password: randomBytes(9).toString('hex') })).arn;
  const identities = new Identities();
  const credentials = identities.issueUser(
    'tester',
    'arn:aws:iam::000000000000:user/tester',
    compilePolicy('tester', [ANYTHING]),
  );
  const services = { 'rds-data': dataApiService({ engine, secrets, clusterArns: [CLUSTER] }) };
  const aws = await startAwsServer({
    host: '127.0.0.1',
    port: 0,
    identities,
    region: REGION,
    services,
    clock: Date.now,
  });
  const client = new RDSDataClient({ region: REGION, endpoint: aws.url, credentials });
  const as = (username: string) =>
    dataApiDatabase(client, { resourceArn: CLUSTER, secretArn: secretOf(username), database: 'paku_ota' });
  const owner = as('paku_owner');
  if (migrated) await migrate(owner, readMigrations(), 'a-password');
  return {
    app: as('paku_app'),
    owner,
    as,
    url,
    isConcurrent: url !== undefined,
    empty: () => emptyTables(owner),
    async close() {
      client.destroy();
      await aws.close();
      await engine.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function emptyTables(owner: Sql): Promise<void> {
  const [row] = await owner.query<{ tables: string }>(
    `SELECT string_agg(quote_ident(tablename), ', ') AS tables FROM pg_tables
     WHERE schemaname = 'public' AND tablename <> 'schema_migrations'`,
  );
  await owner.query(`TRUNCATE ${row?.tables} RESTART IDENTITY`);
}
