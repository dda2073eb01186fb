import { randomBytes } from 'node:crypto';
import { AwsError } from './aws-service.ts';
import type { BoundStatement } from './data-api-parameters.ts';
import {
  isPostgresError,
  type PostgresError,
  type SessionOptions,
  type SqlEngine,
  type SqlResult,
  type SqlSession,
} from './sql-engine.ts';

/** A transaction ends when no call has used it for three minutes. */
const TRANSACTION_IDLE_MS = 3 * 60_000;
const EXPIRY_POLL_MS = 1_000;

interface Transaction {
  readonly session: SqlSession;
  /** Only the secret that began it may use it. */
  readonly secretArn: string;
  lastUsedAt: number;
  busy: boolean;
}

/** Connections of the Data API's callers: one for a statement, or one held by a transaction. */
export class DataApiSessions {
  readonly #engine: SqlEngine;
  readonly #clock: () => number;
  readonly #transactions = new Map<string, Transaction>();
  #expiry: NodeJS.Timeout | undefined;

  constructor(engine: SqlEngine, clock: () => number) {
    this.#engine = engine;
    this.#clock = clock;
  }

  /** Gives a connection for as long as `work` takes. */
  async once<T>(options: SessionOptions, work: (session: SqlSession) => Promise<T>): Promise<T> {
    const session = await this.#acquire(options);
    try {
      return await work(session);
    } finally {
      await session.release();
    }
  }

  /** @returns the transaction's id */
  async begin(options: SessionOptions, secretArn: string): Promise<string> {
    const session = await this.#acquire(options);
    try {
      await run(session, { text: 'BEGIN', values: [] });
    } catch (error) {
      await session.release();
      throw error;
    }
    const id = randomBytes(96).toString('base64');
    this.#transactions.set(id, { session, secretArn, lastUsedAt: this.#clock(), busy: false });
    // Whoever waits for the connection of a forgotten transaction makes no call that could notice it.
    this.#expiry ??= setInterval(() => void this.expire(), EXPIRY_POLL_MS).unref();
    return id;
  }

  /** @throws AwsError for an unknown transaction, and for one that another call is using */
  async within<T>(id: string, secretArn: string, work: (session: SqlSession) => Promise<T>): Promise<T> {
    const transaction = this.#transactions.get(id);
    if (transaction?.secretArn !== secretArn) {
      throw new AwsError(
        'TransactionNotFoundException',
        404,
        `Transaction ${id} is not found. Transaction may be expired.`,
      );
    }
    if (transaction.busy) throw databaseError('Transaction is still running a query');
    transaction.busy = true;
    try {
      return await work(transaction.session);
    } finally {
      transaction.busy = false;
      transaction.lastUsedAt = this.#clock();
    }
  }

  /** @throws AwsError when an earlier statement failed: PostgreSQL would roll back and call it a commit */
  async commit(id: string, secretArn: string): Promise<void> {
    await this.within(id, secretArn, async (session) => {
      await run(session, { text: 'SELECT 1', values: [] });
      await run(session, { text: 'COMMIT', values: [] });
    }).finally(() => this.#end(id, secretArn));
  }

  async rollback(id: string, secretArn: string): Promise<void> {
    await this.within(id, secretArn, async () => {});
    await this.#end(id, secretArn);
  }

  /** Rolls back the transactions that were idle for too long. */
  async expire(): Promise<void> {
    for (const [id, { busy, lastUsedAt, secretArn }] of this.#transactions) {
      if (!busy && this.#clock() - lastUsedAt > TRANSACTION_IDLE_MS) await this.#end(id, secretArn);
    }
  }

  async #end(id: string, secretArn: string): Promise<void> {
    const transaction = this.#transactions.get(id);
    if (!transaction || transaction.busy || transaction.secretArn !== secretArn) return;
    this.#transactions.delete(id);
    if (this.#transactions.size === 0) {
      clearInterval(this.#expiry);
      this.#expiry = undefined;
    }
    // After a commit this does nothing. It fails only with the connection, which took the transaction with it.
    await transaction.session.query('ROLLBACK').catch(() => {});
    await transaction.session.release();
  }

  async #acquire(options: SessionOptions): Promise<SqlSession> {
    try {
      return await this.#engine.acquire(options);
    } catch (error) {
      if (!isPostgresError(error)) throw unavailable(error);
      const roleIsMissing = error.code === '22023' && options.role !== undefined;
      if (!roleIsMissing) throw translate(error);
      throw databaseError(`FATAL: password authentication failed for user "${options.role}"; SQLState: 28P01`);
    }
  }
}

/** Runs one statement. @throws AwsError under the Data API's names */
export async function run(session: SqlSession, { text, values }: BoundStatement): Promise<SqlResult> {
  try {
    return await session.query(text, values);
  } catch (error) {
    throw isPostgresError(error) ? translate(error) : unavailable(error);
  }
}

/** Captured from the service: hint and position are told, the detail, which may hold data, is not. */
function translate({ code, severity, message, hint, position }: PostgresError): AwsError {
  if (code === '57014') return new AwsError('StatementTimeoutException', 400, 'Statement timed out');
  if (code === '42601' && message.includes('multiple commands')) {
    return new AwsError('ValidationException', 400, "Multistatements aren't supported.");
  }
  const parts = [`${severity}: ${message}`, hint && `Hint: ${hint}`, position && `Position: ${position}`];
  return databaseError([...parts.filter(Boolean), `SQLState: ${code}`].join('; '));
}

function unavailable(error: unknown): AwsError {
  const reason = error instanceof Error ? error.message : String(error);
  return new AwsError('DatabaseUnavailableException', 504, `The database cannot be reached: ${reason}`);
}

const databaseError = (message: string) => new AwsError('DatabaseErrorException', 400, message);
