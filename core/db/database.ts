import {
  BeginTransactionCommand,
  CommitTransactionCommand,
  DatabaseResumingException,
  ExecuteStatementCommand,
  type Field,
  type RDSDataClient,
  RollbackTransactionCommand,
  type SqlParameter,
  StatementTimeoutException,
} from '@aws-sdk/client-rds-data';
import { DatabaseUnavailableError, SqlError, StatementTimeoutError } from './errors.ts';

/** A value bound to `:name`. Objects and arrays are sent as JSON text, because the Data API has no array parameters. */
export type SqlValue = string | number | boolean | null | Date | object;
export type SqlValues = Readonly<Record<string, SqlValue>>;
export type SqlRow = Record<string, unknown>;

/**
 * Runs one statement. Rows are keyed by column; timestamps are Date, json is its parsed value, bigint and numeric are
 * number. To read the columns of a row, use `select`, which checks them.
 */
export interface Sql {
  query(sql: string, values?: SqlValues): Promise<SqlRow[]>;
}

/** Only migrations use transactions. All other work is single statements that can be repeated. */
export interface Database extends Sql {
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
}

/** The part of the client that a database uses. */
export type DataApiClient = Pick<RDSDataClient, 'send'>;

export interface DataApiTarget {
  readonly resourceArn: string;
  readonly secretArn: string;
  readonly database: string;
}

export interface DataApiOptions {
  /**
   * Milliseconds to wait for a paused cluster. Aurora resumes in about 15 s, or in 30 s and more after a day's pause.
   */
  readonly resumeTimeoutMs?: number;
  readonly sleep?: (ms: number) => Promise<void>;
}

/** Deadlock and serialization failure: the statement had no effect and can be run again. */
const RETRYABLE_SQLSTATES = new Set(['40P01', '40001']);
const MAX_TRIES = 5;
const RESUME_POLL_MS = 1_000;

/**
 * The RDS Data API as a {@link Database}.
 * @throws SqlError with the SQLSTATE if PostgreSQL refuses a statement
 * @throws StatementTimeoutError if a statement runs longer than 45 s
 * @throws DatabaseUnavailableError if the cluster does not resume in time
 */
export function dataApiDatabase(client: DataApiClient, target: DataApiTarget, options: DataApiOptions = {}): Database {
  const { resumeTimeoutMs = 40_000, sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms)) } = options;

  async function awaitResume<T>(call: () => Promise<T>): Promise<T> {
    for (let waited = 0; ; waited += RESUME_POLL_MS) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof DatabaseResumingException)) throw error;
        if (waited >= resumeTimeoutMs) throw new DatabaseUnavailableError(resumeTimeoutMs, error);
        await sleep(RESUME_POLL_MS);
      }
    }
  }

  async function execute(sql: string, values: SqlValues, transactionId?: string): Promise<SqlRow[]> {
    const command = new ExecuteStatementCommand({
      ...target,
      sql,
      parameters: Object.entries(values).map(toParameter),
      includeResultMetadata: true,
      ...(transactionId === undefined ? {} : { transactionId }),
    });
    try {
      const { records = [], columnMetadata = [] } = await awaitResume(() => client.send(command));
      const columns = columnMetadata.map(({ label = '', typeName = '' }) => ({ label, typeName }));
      return records.map((record) => toRow(record, columns));
    } catch (error) {
      if (error instanceof StatementTimeoutException) throw new StatementTimeoutError(sql);
      throw SqlError.from(error, sql) ?? error;
    }
  }

  async function query(sql: string, values: SqlValues = {}): Promise<SqlRow[]> {
    for (let tries = 1; ; tries++) {
      try {
        return await execute(sql, values);
      } catch (error) {
        const retryable = error instanceof SqlError && RETRYABLE_SQLSTATES.has(error.sqlState);
        if (!retryable || tries === MAX_TRIES) throw error;
        await sleep(10 * 2 ** tries * (0.5 + Math.random()));
      }
    }
  }

  async function transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    const { resourceArn, secretArn } = target;
    const { transactionId } = await awaitResume(() => client.send(new BeginTransactionCommand(target)));
    if (transactionId === undefined) throw new Error('The Data API started a transaction without returning its id.');
    try {
      const result = await work({ query: (sql, values = {}) => execute(sql, values, transactionId) });
      await client.send(new CommitTransactionCommand({ resourceArn, secretArn, transactionId }));
      return result;
    } catch (error) {
      // The caller needs the first error. A transaction that is not rolled back expires after three minutes.
      await client.send(new RollbackTransactionCommand({ resourceArn, secretArn, transactionId })).catch(() => {});
      throw error;
    }
  }

  return { query, transaction };
}

function toParameter([name, value]: [string, SqlValue]): SqlParameter {
  return { name, value: toField(value) };
}

function toField(value: SqlValue): Field {
  if (value === null) return { isNull: true };
  if (typeof value === 'boolean') return { booleanValue: value };
  if (typeof value === 'number') return Number.isInteger(value) ? { longValue: value } : { doubleValue: value };
  if (value instanceof Date) return { stringValue: value.toISOString() };
  return { stringValue: typeof value === 'string' ? value : JSON.stringify(value) };
}

function toRow(record: Field[], columns: readonly { label: string; typeName: string }[]): SqlRow {
  return Object.fromEntries(columns.map(({ label, typeName }, i) => [label, fromField(record[i], typeName)]));
}

function fromField(field: Field | undefined, typeName: string): unknown {
  if (field === undefined || field.isNull) return null;
  if (field.stringValue !== undefined) return fromText(field.stringValue, typeName);
  return field.longValue ?? field.doubleValue ?? field.booleanValue ?? field.blobValue ?? null;
}

function fromText(text: string, typeName: string): unknown {
  if (typeName === 'timestamptz') return new Date(`${text.replace(' ', 'T')}Z`);
  if (typeName === 'json' || typeName === 'jsonb') return JSON.parse(text);
  if (typeName === 'numeric') return Number(text);
  return text;
}
