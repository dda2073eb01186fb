import { z } from 'zod';
import {
  AwsError,
  type AwsService,
  authorize,
  type Clock,
  type Identity,
  jsonService,
  operation,
  systemClock,
} from '../../kernel/index.ts';
import { badRequest, bindParameters, parameterSchema } from './data-api-parameters.ts';
import { executeAnswer } from './data-api-results.ts';
import { DataApiSessions, run } from './data-api-sessions.ts';
import type { Query, SessionOptions, SqlEngine } from './sql-engine.ts';

export interface DataApiOptions {
  readonly engine: SqlEngine;
  /** Finds the secret of a call's `secretArn`. */
  readonly secrets: { find(arn: string): { readonly value: string } | undefined };
  readonly clusterArns: readonly string[];
  /** Measures the idle time of transactions. @default systemClock */
  readonly clock?: Clock;
  /** @default 45,000, as in the service */
  readonly statementTimeoutMs?: number;
}

const MAX_REQUEST_BYTES = 4 * 1024 * 1024;
const STATEMENT_TIMEOUT_MS = 45_000;

/** The cluster's master user; the engine's own user replaces it. Every other secret names a role of the engine. */
const OWNER = 'paku_owner';

/** Statements that would begin or end a transaction on a shared connection without the Data API. */
const TRANSACTION_CONTROL =
  /^(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)*(BEGIN|START|COMMIT|END|ROLLBACK(?!\s+TO)|ABORT|PREPARE\s+TRANSACTION)\b/i;

/** Parameters of every call: the cluster, and the secret of the database role. */
const target = { resourceArn: z.string(), secretArn: z.string() };
const database = z.string().optional();
const transaction = { ...target, transactionId: z.string() };

const statement = {
  ...target,
  database,
  sql: z.string(),
  parameters: z.array(parameterSchema).default([]),
  transactionId: z.string().optional(),
  includeResultMetadata: z.boolean().default(false),
};

/** The RDS Data API in front of a PostgreSQL server, with the limits, errors, types and roles of the service. */
export function dataApiService(options: DataApiOptions): AwsService {
  const { engine, clock = systemClock } = options;
  const sessions = new DataApiSessions(engine, clock);

  const operations = {
    '/Execute': operation(statement, async (input, identity) => {
      const session = admit('ExecuteStatement', input, identity, options);
      const bound = bindParameters(refuseTransactionControl(input.sql), input.parameters);
      const work = (query: Query) => run(query, bound);
      const { transactionId, secretArn } = input;
      const result = await (transactionId === undefined
        ? sessions.runOnce(session, work)
        : sessions.runInTransaction(transactionId, secretArn, work));
      return executeAnswer(result, input.includeResultMetadata);
    }),
    '/BeginTransaction': operation({ ...target, database }, async (input, identity) => {
      const session = admit('BeginTransaction', input, identity, options);
      return { transactionId: await sessions.begin(session, input.secretArn) };
    }),
    '/CommitTransaction': operation(transaction, async (input, identity) => {
      admit('CommitTransaction', input, identity, options);
      await sessions.commit(input.transactionId, input.secretArn);
      return { transactionStatus: 'Transaction Committed' };
    }),
    '/RollbackTransaction': operation(transaction, async (input, identity) => {
      admit('RollbackTransaction', input, identity, options);
      await sessions.rollback(input.transactionId, input.secretArn);
      return { transactionStatus: 'Rollback Complete' };
    }),
  };
  return jsonService(operations, { maxBytes: MAX_REQUEST_BYTES });
}

/** The session that a call may use. @throws AwsError if its identity or its secret does not allow the call */
function admit(
  action: string,
  { resourceArn, secretArn }: { readonly resourceArn: string; readonly secretArn: string },
  identity: Identity,
  { clusterArns, secrets, statementTimeoutMs = STATEMENT_TIMEOUT_MS }: DataApiOptions,
): SessionOptions {
  authorize(identity, `rds-data:${action}`, resourceArn);
  authorize(identity, 'secretsmanager:GetSecretValue', secretArn);
  if (!clusterArns.includes(resourceArn)) {
    throw new AwsError('DatabaseNotFoundException', 404, `There is no DB cluster ${resourceArn}.`);
  }
  const secret = secrets.find(secretArn);
  if (!secret) throw new AwsError('SecretsErrorException', 400, `The secret ${secretArn} wasn't found.`);
  const role = roleIn(secret.value);
  if (role !== undefined) return { role: role === OWNER ? undefined : role, statementTimeoutMs };
  throw new AwsError('InvalidSecretException', 400, `The secret ${secretArn} is no JSON with username and password.`);
}

const databaseSecret = z.object({ username: z.string(), password: z.string() });

function roleIn(secret: string): string | undefined {
  try {
    return databaseSecret.parse(JSON.parse(secret)).username;
  } catch {
    return undefined;
  }
}

function refuseTransactionControl(sql: string): string {
  const [, keyword] = TRANSACTION_CONTROL.exec(sql) ?? [];
  if (keyword === undefined) return sql;
  throw badRequest(
    `${keyword} is not taken as a statement; use BeginTransaction, CommitTransaction, RollbackTransaction.`,
  );
}
