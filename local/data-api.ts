import { randomUUID } from 'node:crypto';
import { text as readText } from 'node:stream/consumers';
import { AwsError, accessDenied } from './aws-error.ts';
import type { AwsRequest, AwsService } from './aws-service.ts';
import { type ApiField, type ApiParameter, bindParameters, columnType } from './data-api-values.ts';
import type { Secrets } from './secrets.ts';
import { isPostgresError, type SqlEngine, type SqlResult, type SqlSession } from './sql-engine.ts';

export interface DataApiOptions {
  readonly engine: SqlEngine;
  readonly secrets: Secrets;
  readonly clusterArns: readonly string[];
  /** Milliseconds since the epoch. @default Date.now */
  readonly clock?: () => number;
}

interface Input {
  readonly resourceArn: string;
  readonly secretArn: string;
  readonly sql?: string;
  readonly schema?: string;
  readonly parameters?: readonly ApiParameter[];
  readonly includeResultMetadata?: boolean;
  readonly formatRecordsAs?: string;
  readonly transactionId?: string;
}

interface Transaction {
  readonly session: SqlSession;
  lastUsedAt: number;
  busy: boolean;
}

const MAX_REQUEST_BYTES = 4 * 1024 * 1024;
const MAX_RESPONSE_BYTES = 1024 * 1024;
const MAX_ROW_BYTES = 64 * 1024;
const STATEMENT_TIMEOUT_MS = 45_000;
const TRANSACTION_IDLE_MS = 3 * 60_000;

/** The role of the application's secret; every other secret is the owner's. */
const APP_ROLE = 'paku_app';

const bad = (message: string) => new AwsError('BadRequestException', 400, message);

/** The RDS Data API over a PostgreSQL, with its real limits and its typed errors. */
export function dataApiService({ engine, secrets, clusterArns, clock = Date.now }: DataApiOptions): AwsService {
  const transactions = new Map<string, Transaction>();

  return {
    async handle(request) {
      const body = await readText(request.body);
      if (Buffer.byteLength(body) > MAX_REQUEST_BYTES) throw bad('Request size exceeds the limit of 4 MiB.');
      const input = JSON.parse(body) as Input;
      await endIdleTransactions();
      switch (request.path) {
        case '/Execute':
          permit(request, 'rds-data:ExecuteStatement', input);
          return json(await execute(input));
        case '/BeginTransaction':
          permit(request, 'rds-data:BeginTransaction', input);
          return json({ transactionId: await begin(input) });
        case '/CommitTransaction':
          permit(request, 'rds-data:CommitTransaction', input);
          return json({ transactionStatus: await end(input, 'COMMIT') });
        case '/RollbackTransaction':
          permit(request, 'rds-data:RollbackTransaction', input);
          return json({ transactionStatus: await end(input, 'ROLLBACK') });
        default:
          throw bad(`The local Data API does not imitate ${request.path}.`);
      }
    },
  };

  function permit({ identity }: AwsRequest, action: string, { resourceArn, secretArn }: Input): void {
    if (!clusterArns.includes(resourceArn)) throw bad(`There is no cluster ${resourceArn}.`);
    if (!identity.allows(action, resourceArn)) throw accessDenied(identity.arn, action, resourceArn);
    const read = 'secretsmanager:GetSecretValue';
    if (!identity.allows(read, secretArn)) throw accessDenied(identity.arn, read, secretArn);
    if (secrets.find(secretArn) === undefined) throw bad(`There is no secret ${secretArn}.`);
  }

  async function execute(input: Input): Promise<object> {
    if (input.schema !== undefined)
      throw new AwsError('ValidationException', 400, "The schema parameter isn't supported.");
    if (input.formatRecordsAs === 'JSON') throw bad('The local Data API does not imitate formatRecordsAs JSON.');
    const { text, values } = bindParameters(input.sql ?? '', input.parameters ?? []);
    const run = (session: SqlSession) => query(session, text, values);
    const result =
      input.transactionId === undefined ? await alone(input, run) : await inTransaction(input.transactionId, run);
    return toAnswer(result, input.includeResultMetadata === true);
  }

  async function alone(input: Input, run: (session: SqlSession) => Promise<SqlResult>): Promise<SqlResult> {
    const session = await open(input);
    return run(session).finally(() => session.release());
  }

  /** The local database has one user: the secret's role stands in for a login. */
  async function open({ secretArn }: Input): Promise<SqlSession> {
    const { username } = JSON.parse(secrets.find(secretArn)?.value ?? '{}') as { username?: string };
    const role = username === APP_ROLE ? APP_ROLE : undefined;
    return translated(engine.acquire({ role, statementTimeoutMs: STATEMENT_TIMEOUT_MS }));
  }

  async function begin(input: Input): Promise<string> {
    const session = await open(input);
    await query(session, 'BEGIN', []);
    const id = Buffer.from(randomUUID()).toString('base64');
    transactions.set(id, { session, lastUsedAt: clock(), busy: false });
    return id;
  }

  async function inTransaction(id: string, run: (session: SqlSession) => Promise<SqlResult>): Promise<SqlResult> {
    const transaction = transactions.get(id);
    if (transaction === undefined)
      throw new AwsError('TransactionNotFoundException', 404, `Transaction ${id} is not found.`);
    if (transaction.busy) throw new AwsError('DatabaseErrorException', 400, 'Transaction is still running a query.');
    transaction.busy = true;
    try {
      return await run(transaction.session);
    } finally {
      transaction.busy = false;
      transaction.lastUsedAt = clock();
    }
  }

  async function end({ transactionId = '' }: Input, how: 'COMMIT' | 'ROLLBACK'): Promise<string> {
    const transaction = transactions.get(transactionId);
    await inTransaction(transactionId, (session) => query(session, how, [])).finally(() =>
      finish(transactionId, transaction),
    );
    return how === 'COMMIT' ? 'Transaction Committed' : 'Rollback Complete';
  }

  async function finish(id: string, transaction: Transaction | undefined): Promise<void> {
    transactions.delete(id);
    await transaction?.session.release();
  }

  async function endIdleTransactions(): Promise<void> {
    for (const [id, transaction] of transactions) {
      if (transaction.busy || clock() - transaction.lastUsedAt < TRANSACTION_IDLE_MS) continue;
      await transaction.session.query('ROLLBACK').catch(() => {});
      await finish(id, transaction);
    }
  }
}

const query = (session: SqlSession, text: string, values: readonly string[]) => translated(session.query(text, values));

/** PostgreSQL's errors as the Data API words them. */
async function translated<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!isPostgresError(error)) throw error;
    if (error.code === '57014') throw new AwsError('StatementTimeoutException', 400, 'Request timed out.');
    throw new AwsError('DatabaseErrorException', 400, `${error.severity}: ${error.message}; SQLState: ${error.code}`);
  }
}

function toAnswer({ columns, rows, affectedRows }: SqlResult, withMetadata: boolean): object {
  if (columns === undefined) return { numberOfRecordsUpdated: affectedRows, generatedFields: [] };
  const types = columns.map(({ name, typeOid }) => columnType(typeOid, name));
  const records = rows.map((row) =>
    row.map((text, i): ApiField => (text === null ? { isNull: true } : (types[i]?.read(text) ?? {}))),
  );
  if (records.some((record) => Buffer.byteLength(JSON.stringify(record)) > MAX_ROW_BYTES)) {
    throw new AwsError('DatabaseErrorException', 400, 'Database returned a row that exceeds the limit of 64 KB.');
  }
  const columnMetadata = columns.map(({ name }, i) => ({
    name,
    label: name,
    typeName: types[i]?.name,
    type: types[i]?.jdbc,
    nullable: 1,
  }));
  const answer = { numberOfRecordsUpdated: affectedRows, records, ...(withMetadata ? { columnMetadata } : {}) };
  if (Buffer.byteLength(JSON.stringify(records)) > MAX_RESPONSE_BYTES) {
    throw new AwsError('DatabaseErrorException', 400, 'Database returned more than the allowed response size limit.');
  }
  return answer;
}

const json = (body: object) => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});
