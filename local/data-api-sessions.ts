import { randomBytes } from 'node:crypto';
import { AwsError } from './aws-service.ts';
import type { Clock } from './clock.ts';
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

interface Transaction {
  readonly session: SqlSession;
  /** Only the secret that began it may use it. */
  readonly secretArn: string;
  busy: boolean;
  cancelExpiry(): void;
}

/** Connections of the Data API's callers: one for a statement, or one held by a transaction. */
export class DataApiSessions {
  readonly #engine: SqlEngine;
  readonly #clock: Clock;
  readonly #transactions = new Map<string, Transaction>();

  constructor(engine: SqlEngine, clock: Clock) {
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
    this.#transactions.set(id, { session, secretArn, busy: false, cancelExpiry: this.#expireLater(id) });
    return id;
  }

  /** @throws AwsError for an unknown transaction, and for one that another call is using */
  async within<T>(id: string, secretArn: string, work: (session: SqlSession) => Promise<T>): Promise<T> {
    const transaction = this.#transactions.get(id);
    if (transaction?.secretArn !== secretArn) {
      const message = `Transaction ${id} is not found. Transaction may be expired.`;
      throw new AwsError('TransactionNotFoundException', 404, message);
    }
    if (transaction.busy) throw databaseError('Transaction is still running a query');
    transaction.busy = true;
    transaction.cancelExpiry();
    try {
      return await work(transaction.session);
    } finally {
      transaction.busy = false;
      if (this.#transactions.has(id)) transaction.cancelExpiry = this.#expireLater(id);
    }
  }

  /** @throws AwsError when an earlier statement failed: PostgreSQL would roll back and call it a commit */
  async commit(id: string, secretArn: string): Promise<void> {
    const work = async (session: SqlSession) => {
      await run(session, { text: 'SELECT 1', values: [] });
      await run(session, { text: 'COMMIT', values: [] });
    };
    await this.within(id, secretArn, (session) => work(session).finally(() => this.#end(id)));
  }

  async rollback(id: string, secretArn: string): Promise<void> {
    await this.within(id, secretArn, () => this.#end(id));
  }

  /** A function that died within a transaction makes no call that would end it. */
  #expireLater(id: string): () => void {
    return this.#clock.after(TRANSACTION_IDLE_MS, () => void this.#end(id));
  }

  async #end(id: string): Promise<void> {
    const transaction = this.#transactions.get(id);
    if (!transaction) return;
    this.#transactions.delete(id);
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
