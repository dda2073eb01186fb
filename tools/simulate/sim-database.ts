import type { ExecuteStatementCommandInput, RDSDataClient } from '@aws-sdk/client-rds-data';
import pg from 'pg';
import { dataApiDatabase, migrate } from '../../core/db/index.ts';
import {
  bindParameters,
  executeAnswer,
  openPglite,
  type Parameter,
  type Query,
  run,
} from '../../local/services/rds-data/index.ts';
import { readMigrations } from '../../test/support/migrations.ts';
import { ownDatabase } from '../../test/support/own-database.ts';
import { type TypedDatabase, typed } from '../../test/support/test-sql.ts';

/** One session of a database of its own. */
interface Session {
  readonly query: Query;
  close(): Promise<void>;
}

/**
 * Opens the schema on PGlite in this process, or in a new database on the server of TEST_DATABASE_URL. SQL, parameters
 * and answers are those of the Data API, but there is no HTTP, so that weeks can be simulated in seconds.
 */
export async function openSimDatabase(): Promise<{ database: TypedDatabase; close(): Promise<void> }> {
  const { query, close } = (await openServerSession()) ?? (await openPgliteSession());
  const transactionId = 'simulated';
  const execute = async ({ sql = '', parameters = [] }: ExecuteStatementCommandInput) =>
    JSON.parse(executeAnswer(await run(query, bindParameters(sql, parameters as Parameter[])), true));
  const statements: Record<string, string> = {
    BeginTransactionCommand: 'BEGIN',
    CommitTransactionCommand: 'COMMIT',
    RollbackTransactionCommand: 'ROLLBACK',
  };
  const send = async (command: { constructor: { name: string }; input: ExecuteStatementCommandInput }) => {
    const statement = statements[command.constructor.name];
    if (statement === undefined) return execute(command.input);
    await query(statement);
    return { transactionId };
  };
  const client = { send } as unknown as RDSDataClient;
  const database = typed(dataApiDatabase(client, { resourceArn: '', secretArn: '', database: '' }));
  await migrate(database, readMigrations(), { public: 'unused', ingest: 'unused', control: 'unused' });
  return { database, close };
}

async function openPgliteSession(): Promise<Session> {
  const engine = await openPglite();
  let release = () => {};
  const query = await new Promise<Query>((resolve) => {
    void engine.use({ role: undefined, statementTimeoutMs: 0 }, (query) => {
      resolve(query);
      return new Promise<void>((end) => {
        release = end;
      });
    });
  });
  return {
    query,
    async close() {
      release();
      await engine.close();
    },
  };
}

/** Each statement is planned once: a simulation repeats a few dozen statements many thousand times. */
async function openServerSession(): Promise<Session | undefined> {
  const server = await ownDatabase({ migrated: true });
  if (server === undefined) return undefined;
  const client = new pg.Client({
    connectionString: server.url,
    options:
      '-c TimeZone=UTC -c DateStyle=ISO -c bytea_output=hex -c jit=off -c synchronous_commit=off -c enable_seqscan=off',
  });
  await client.connect();
  const names = new Map<string, string>();
  const query: Query = async (text, parameters = []) => {
    const name = names.get(text) ?? `s${names.size}`;
    names.set(text, name);
    const { fields, rows, rowCount, command } = await client.query<(string | null)[]>({
      name,
      text,
      values: [...parameters],
      rowMode: 'array',
      types: { getTypeParser: () => (value: string) => value },
    });
    const columns =
      fields.length === 0 ? undefined : fields.map((each) => ({ name: each.name, typeOid: each.dataTypeID }));
    return { columns, rows, affectedRows: command === 'SELECT' ? 0 : (rowCount ?? 0) };
  };
  return {
    query,
    async close() {
      await client.end();
      await server.drop();
    },
  };
}
