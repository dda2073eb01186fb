import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';

/**
 * The result of a statement in PostgreSQL's text format. `columns` is undefined for a statement that cannot return
 * rows.
 */
export interface SqlResult {
  readonly columns: readonly { readonly name: string; readonly typeOid: number }[] | undefined;
  readonly rows: readonly (readonly (string | null)[])[];
  readonly affectedRows: number;
}

/** The error of a statement that PostgreSQL refused. */
export interface PostgresError extends Error {
  readonly code: string;
  readonly severity: string;
  readonly hint?: string | undefined;
  readonly position?: string | undefined;
}

export interface SessionOptions {
  /** The role that statements run as; undefined is the engine's own user, the owner of everything. */
  readonly role: string | undefined;
  /** 0 means no timeout. PGlite ignores it, because it runs in this process and cannot be interrupted. */
  readonly statementTimeoutMs: number;
}

/** Runs one statement. Parameters are PostgreSQL text input. @throws PostgresError */
export type Query = (sql: string, parameters?: readonly string[]) => Promise<SqlResult>;

/** A PostgreSQL server. It returns ISO dates in UTC, and bytea as hex. */
export interface SqlEngine {
  /**
   * Waits for a free connection and runs `work` with it.
   * @throws PostgresError if the role does not exist
   */
  use<T>(options: SessionOptions, work: (query: Query) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export function isPostgresError(error: unknown): error is PostgresError {
  return error instanceof Error && 'severity' in error && 'code' in error && typeof error.code === 'string';
}

/** PGlite has no autovacuum. Without statistics PostgreSQL expects a handful of rows in each table. */
const ANALYZE_EVERY_MS = 60_000;

/**
 * Opens PGlite in a folder, or in memory. It has one connection, so sessions wait for each other.
 * @param clock milliseconds since the epoch
 */
export async function openPglite(folder?: string, clock = Date.now): Promise<SqlEngine> {
  const database = await PGlite.create(folder === undefined ? {} : { dataDir: folder });
  for (const oid of Object.keys(database.parsers)) database.parsers[oid] = (value) => value;
  for (const oid of Object.keys(database.serializers)) database.serializers[oid] = (value) => value;
  await database.exec(`SET TIME ZONE 'UTC'; SET datestyle = 'ISO'; SET bytea_output = 'hex'`);
  const query: Query = (sql, parameters = []) => queryPglite(database, sql, parameters);
  let last: Promise<unknown> = Promise.resolve();
  let analyzedAt = clock();
  const analyze = async () => {
    if (clock() - analyzedAt < ANALYZE_EVERY_MS) return;
    analyzedAt = clock();
    await database.exec('RESET ROLE; ANALYZE');
  };
  return {
    use(options, work) {
      const result = last
        .then(analyze)
        .then(() => database.exec(sessionSql(options)))
        .then(() => work(query));
      last = result.catch(() => {});
      return result;
    },
    close: () => database.close(),
  };
}

async function queryPglite(database: PGlite, sql: string, parameters: readonly string[]): Promise<SqlResult> {
  const answer = await database.query<(string | null)[]>(sql, [...parameters], { rowMode: 'array' });
  return { columns: columnsOf(answer.fields), rows: answer.rows, affectedRows: answer.affectedRows ?? 0 };
}

/**
 * Opens a PostgreSQL server.
 *
 * @param url `postgresql://…` with a user that may SET ROLE to the functions' roles
 */
export function openPostgres(url: string, size = 20): SqlEngine {
  const pool = new pg.Pool({
    connectionString: url,
    max: size,
    // The settings that the schema makes for the database; a connection that is older than the migration lacks them.
    options: '-c TimeZone=UTC -c DateStyle=ISO -c bytea_output=hex -c jit=off',
  });
  // The query of a broken connection fails, or the pool replaces it. Without a listener the event would end the process.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  const connections = new WeakMap<pg.PoolClient, Connection>();
  return {
    async use(options, work) {
      const client = await pool.connect();
      try {
        const connection = connections.get(client) ?? { client, session: '', prepared: new Map() };
        connections.set(client, connection);
        await beginSession(connection, options);
        return await work((sql, parameters = []) => queryPostgres(connection, sql, parameters));
      } finally {
        client.release();
      }
    },
    close: () => pool.end(),
  };
}

/** A connection of the pool, and what the server keeps for it. */
interface Connection {
  readonly client: pg.PoolClient;
  /** The settings in effect; empty if they are not known. */
  session: string;
  /** Names of prepared statements by their text. A statement without a name is parsed and planned in each call. */
  readonly prepared: Map<string, string | undefined>;
}

/** A plan takes up to some hundred kilobytes on the server; the functions together have a few hundred statements. */
const MAX_PREPARED = 500;
/** Statements with a plan. All others run once, in migrations. */
const HAS_PLAN = /^\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE)\b/i;
/** Statements after which the settings of the session are not known. */
const CHANGES_SESSION = /^\s*(?:SET|RESET|DISCARD)\b/i;

/** Makes the settings that are not yet in effect: they would cost every statement a second message to the server. */
async function beginSession(connection: Connection, options: SessionOptions): Promise<void> {
  const session = sessionSql(options);
  if (connection.session === session) return;
  connection.session = '';
  await connection.client.query(session);
  connection.session = session;
}

/** Prepares the statement: PostgreSQL needs more time to plan most of them than to run them. */
async function queryPostgres(connection: Connection, text: string, parameters: readonly string[]): Promise<SqlResult> {
  const { client, prepared } = connection;
  if (CHANGES_SESSION.test(text)) connection.session = '';
  if (!prepared.has(text) && prepared.size < MAX_PREPARED && HAS_PLAN.test(text)) {
    prepared.set(text, `s${prepared.size}`);
  }
  const query: pg.QueryArrayConfig & { queryMode: 'extended' } = {
    name: prepared.get(text),
    text,
    values: [...parameters],
    rowMode: 'array',
    // The extended protocol accepts one statement only, like PGlite and the Data API.
    queryMode: 'extended',
    types: { getTypeParser: () => (value: string) => value },
  };
  try {
    const { fields, rows, rowCount, command } = await client.query<(string | null)[]>(query);
    return { columns: columnsOf(fields), rows, affectedRows: command === 'SELECT' ? 0 : (rowCount ?? 0) };
  } catch (error) {
    if (query.name === undefined || !isOutdatedPlan(error)) throw error;
    prepared.set(text, undefined);
    return queryPostgres(connection, text, parameters);
  }
}

/** The tables of a prepared statement have changed, so that its rows have other columns now. It was not run. */
const isOutdatedPlan = (error: unknown) =>
  isPostgresError(error) && error.code === '0A000' && error.message.startsWith('cached plan');

function sessionSql({ role, statementTimeoutMs }: SessionOptions): string {
  const setRole = role === undefined ? 'RESET ROLE' : `SET ROLE ${pg.escapeIdentifier(role)}`;
  return `SET statement_timeout = ${statementTimeoutMs}; ${setRole}`;
}

function columnsOf(fields: readonly { readonly name: string; readonly dataTypeID: number }[]): SqlResult['columns'] {
  return fields.length === 0 ? undefined : fields.map(({ name, dataTypeID }) => ({ name, typeOid: dataTypeID }));
}
