import { randomBytes } from 'node:crypto';
import type { Clock } from '../../kernel/index.ts';
import { AwsError } from '../../kernel/index.ts';
import type { BoundStatement } from './data-api-parameters.ts';
import { isPostgresError, type Query, type SessionOptions, type SqlEngine, type SqlResult } from './sql-engine.ts';

/** A transaction is rolled back when no call has used it for three minutes. */
const TRANSACTION_IDLE_MS = 3 * 60_000;

interface Transaction {
  readonly query: Query;
  /** Only calls with the secret of BeginTransaction may use the transaction. */
  readonly secretArn: string;
  busy: boolean;
  cancelExpiry(): void;
  /** Returns the connection to the pool. */
  release(): void;
}

/** Connections for calls of the Data API: one per statement, or one per transaction. */
export class DataApiSessions {
  readonly #engine: SqlEngine;
  readonly #clock: Clock;
  readonly #transactions = new Map<string, Transaction>();

  constructor(engine: SqlEngine, clock: Clock) {
    this.#engine = engine;
    this.#clock = clock;
  }

  /** Runs `work` with a connection of its own. @throws AwsError */
  runOnce<T>(options: SessionOptions, work: (query: Query) => Promise<T>): Promise<T> {
    return this.#engine.use(options, work).catch((error) => {
      if (error instanceof AwsError) throw error;
      const roleIsMissing = isPostgresError(error) && error.code === '22023' && options.role !== undefined;
      if (!roleIsMissing) throw translate(error);
      throw databaseError(`FATAL: password authentication failed for user "${options.role}"; SQLState: 28P01`);
    });
  }

  /** @returns the transaction's id */
  begin(options: SessionOptions, secretArn: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const hold = async (query: Query) => {
        await run(query, { text: 'BEGIN', values: [] });
        const id = randomBytes(96).toString('base64');
        await new Promise<void>((release) => {
          this.#transactions.set(id, { query, secretArn, busy: false, cancelExpiry: this.#expireLater(id), release });
          resolve(id);
        });
      };
      this.runOnce(options, hold).catch(reject);
    });
  }

  /** Runs `work` in a transaction. @throws AwsError for an unknown transaction, and for one that another call is using */
  async runInTransaction<T>(id: string, secretArn: string, work: (query: Query) => Promise<T>): Promise<T> {
    const transaction = this.#transactions.get(id);
    if (transaction?.secretArn !== secretArn) {
      const message = `Transaction ${id} is not found. Transaction may be expired.`;
      throw new AwsError('TransactionNotFoundException', 404, message);
    }
    if (transaction.busy) throw databaseError('Transaction is still running a query');
    transaction.busy = true;
    transaction.cancelExpiry();
    try {
      return await work(transaction.query);
    } finally {
      transaction.busy = false;
      if (this.#transactions.has(id)) transaction.cancelExpiry = this.#expireLater(id);
    }
  }

  /** @throws AwsError if an earlier statement failed, where PostgreSQL would roll back and report success */
  async commit(id: string, secretArn: string): Promise<void> {
    const work = async (query: Query) => {
      await run(query, { text: 'SELECT 1', values: [] });
      await run(query, { text: 'COMMIT', values: [] });
    };
    await this.runInTransaction(id, secretArn, (query) => work(query).finally(() => this.#end(id)));
  }

  async rollback(id: string, secretArn: string): Promise<void> {
    await this.runInTransaction(id, secretArn, () => this.#end(id));
  }

  /** Ends a transaction whose function died before it could. */
  #expireLater(id: string): () => void {
    return this.#clock.after(TRANSACTION_IDLE_MS, () => void this.#end(id));
  }

  async #end(id: string): Promise<void> {
    const transaction = this.#transactions.get(id);
    this.#transactions.delete(id);
    // After a commit, ROLLBACK does nothing. It fails only if the connection is lost, and then the transaction has
    // ended too.
    await transaction?.query('ROLLBACK').catch(() => {});
    transaction?.release();
  }
}

/** Runs one statement. @throws AwsError with the Data API's error codes */
export function run(query: Query, { text, values }: BoundStatement): Promise<SqlResult> {
  return query(text, values).catch((error) => {
    throw translate(error);
  });
}

/** As observed of the service: the message contains hint and position, but not the detail, which may contain data. */
function translate(error: Error): AwsError {
  if (!isPostgresError(error)) {
    return new AwsError('DatabaseUnavailableException', 504, `The database cannot be reached: ${error.message}`);
  }
  const { code, severity, message, hint, position } = error;
  if (code === '57014') return new AwsError('StatementTimeoutException', 400, 'Statement timed out');
  if (code === '42601' && message.includes('multiple commands')) {
    return new AwsError('ValidationException', 400, "Multistatements aren't supported.");
  }
  const parts = [`${severity}: ${message}`, hint && `Hint: ${hint}`, position && `Position: ${position}`];
  return databaseError([...parts.filter(Boolean), `SQLState: ${code}`].join('; '));
}

const databaseError = (message: string) => new AwsError('DatabaseErrorException', 400, message);
