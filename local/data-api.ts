import { buffer } from 'node:stream/consumers';
import { z } from 'zod';
import { AwsError, type AwsRequest, type AwsService, permit } from './aws-service.ts';
import { badRequest, bindParameters, parameterSchema } from './data-api-parameters.ts';
import { executeAnswer } from './data-api-results.ts';
import { DataApiSessions, run } from './data-api-sessions.ts';
import type { Secrets } from './secrets.ts';
import type { SessionOptions, SqlEngine, SqlSession } from './sql-engine.ts';

export interface DataApiOptions {
  readonly engine: SqlEngine;
  readonly secrets: Secrets;
  readonly clusterArns: readonly string[];
  /** The one database of the cluster; calls that name another fail. */
  readonly database?: string;
  /** Milliseconds since the epoch. @default Date.now */
  readonly clock?: () => number;
  /** @default 45,000, the service's own */
  readonly statementTimeoutMs?: number;
  /** Called before each permitted operation, `ExecuteStatement` and so on; what it throws is the answer. */
  readonly before?: (operation: string) => Promise<void>;
}

const inputSchema = z.strictObject({
  resourceArn: z.string(),
  secretArn: z.string(),
  database: z.string().optional(),
  schema: z.string().optional(),
  sql: z.string().optional(),
  parameters: z.array(parameterSchema).default([]),
  parameterSets: z.array(z.array(parameterSchema)).default([]),
  transactionId: z.string().optional(),
  includeResultMetadata: z.boolean().default(false),
  continueAfterTimeout: z.boolean().default(false),
  formatRecordsAs: z.literal('NONE').optional(),
});

type Input = z.infer<typeof inputSchema>;
type Operation = (input: Input, caller: Caller) => Promise<string>;

/** What a call's secret stands for. */
interface Caller {
  readonly role: string | undefined;
}

const MAX_REQUEST_BYTES = 4 * 1024 * 1024;
const STATEMENT_TIMEOUT_MS = 45_000;

/** The cluster's master user, which the engine's own user stands in for. Every other secret is of the role it names. */
const OWNER = 'paku_owner';

/** Statements that would leave a shared connection inside of a transaction, or end one behind the Data API's back. */
const TRANSACTION_CONTROL =
  /^(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)*(BEGIN|START|COMMIT|END|ROLLBACK(?!\s+TO)|ABORT|PREPARE\s+TRANSACTION)\b/i;

/**
 * The RDS Data API over a PostgreSQL: its limits, its errors, its types, and the roles behind its secrets.
 *
 * Not imitated: `formatRecordsAs: JSON`, `resultSetOptions`, ExecuteSql. A statement with `continueAfterTimeout` is
 * waited for.
 */
export function dataApiService(options: DataApiOptions): AwsService {
  const { engine, clock = Date.now } = options;
  const sessions = new DataApiSessions(engine, clock);
  const operations = operationsOn(sessions, options);
  return {
    async handle(request) {
      const { operation, perform } = operations[request.path] ?? unknownOperation(request.path);
      const input = parseInput(await buffer(request.body));
      authorize(request, operation, input, options);
      const caller = callerOf(input, options);
      await options.before?.(operation);
      await sessions.expire();
      const body = await perform(input, caller);
      return { status: 200, headers: { 'content-type': 'application/json' }, body };
    },
  };
}

function operationsOn(
  sessions: DataApiSessions,
  { statementTimeoutMs = STATEMENT_TIMEOUT_MS }: DataApiOptions,
): Readonly<Record<string, { operation: string; perform: Operation }>> {
  const sessionOptions = ({ continueAfterTimeout }: Input, { role }: Caller): SessionOptions => ({
    role,
    statementTimeoutMs: continueAfterTimeout ? 0 : statementTimeoutMs,
  });
  const onSession = <T>(input: Input, caller: Caller, work: (session: SqlSession) => Promise<T>): Promise<T> =>
    input.transactionId === undefined
      ? sessions.once(sessionOptions(input, caller), work)
      : sessions.within(input.transactionId, input.secretArn, work);

  const execute: Operation = async (input, caller) => {
    const statement = bindParameters(statementOf(input), input.parameters);
    const result = await onSession(input, caller, (session) => run(session, statement));
    return executeAnswer(result, input.includeResultMetadata);
  };
  const batchExecute: Operation = async (input, caller) => {
    const sets = input.parameterSets.length === 0 ? [[]] : input.parameterSets;
    const statements = sets.map((parameters) => bindParameters(statementOf(input), parameters));
    await onSession(input, caller, async (session) => {
      for (const statement of statements) await run(session, statement);
    });
    return JSON.stringify({ updateResults: statements.map(() => ({ generatedFields: [] })) });
  };
  const begin: Operation = async (input, caller) =>
    JSON.stringify({ transactionId: await sessions.begin(sessionOptions(input, caller), input.secretArn) });
  const commit: Operation = async (input) => {
    await sessions.commit(input.transactionId ?? '', input.secretArn);
    return JSON.stringify({ transactionStatus: 'Transaction Committed' });
  };
  const rollback: Operation = async (input) => {
    await sessions.rollback(input.transactionId ?? '', input.secretArn);
    return JSON.stringify({ transactionStatus: 'Rollback Complete' });
  };

  return {
    '/Execute': { operation: 'ExecuteStatement', perform: execute },
    '/BatchExecute': { operation: 'BatchExecuteStatement', perform: batchExecute },
    '/BeginTransaction': { operation: 'BeginTransaction', perform: begin },
    '/CommitTransaction': { operation: 'CommitTransaction', perform: commit },
    '/RollbackTransaction': { operation: 'RollbackTransaction', perform: rollback },
  };
}

function parseInput(body: Buffer): Input {
  if (body.length > MAX_REQUEST_BYTES) {
    throw badRequest(`The request has ${body.length} bytes; the Data API takes at most ${MAX_REQUEST_BYTES}.`);
  }
  const { success, data, error } = inputSchema.safeParse(JSON.parse(body.toString()));
  if (!success) throw new AwsError('ValidationException', 400, z.prettifyError(error));
  if (data.schema === undefined) return data;
  throw new AwsError('ValidationException', 400, "The schema parameter isn't supported");
}

function authorize({ identity }: AwsRequest, operation: string, input: Input, { clusterArns }: DataApiOptions): void {
  permit(identity, `rds-data:${operation}`, input.resourceArn);
  permit(identity, 'secretsmanager:GetSecretValue', input.secretArn);
  if (clusterArns.includes(input.resourceArn)) return;
  throw new AwsError('DatabaseNotFoundException', 404, `There is no DB cluster ${input.resourceArn}.`);
}

function callerOf({ secretArn, database: wanted }: Input, { secrets, database }: DataApiOptions): Caller {
  const secret = secrets.find(secretArn);
  if (!secret) throw new AwsError('SecretsErrorException', 400, `The secret ${secretArn} wasn't found.`);
  if (wanted !== undefined && database !== undefined && wanted !== database) {
    throw new AwsError('DatabaseErrorException', 400, `FATAL: database "${wanted}" does not exist; SQLState: 3D000`);
  }
  const username = usernameIn(secret.value);
  if (username !== undefined) return { role: username === OWNER ? undefined : username };
  throw new AwsError('InvalidSecretException', 400, `The secret ${secretArn} is no JSON with username and password.`);
}

function usernameIn(secret: string): string | undefined {
  try {
    return z.object({ username: z.string(), password: z.string() }).parse(JSON.parse(secret)).username;
  } catch {
    return undefined;
  }
}

function statementOf({ sql = '' }: Input): string {
  const [, keyword] = TRANSACTION_CONTROL.exec(sql) ?? [];
  if (keyword === undefined) return sql;
  throw badRequest(
    `${keyword} is not taken as a statement; use BeginTransaction, CommitTransaction, RollbackTransaction.`,
  );
}

function unknownOperation(path: string): never {
  throw new AwsError('UnknownOperationException', 404, `The local Data API does not imitate ${path}.`);
}
