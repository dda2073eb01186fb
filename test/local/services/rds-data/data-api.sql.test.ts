import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  BeginTransactionCommand,
  CommitTransactionCommand,
  ExecuteStatementCommand,
  type ExecuteStatementCommandInput,
  type Field,
  RDSDataClient,
  RollbackTransactionCommand,
  type SqlParameter,
} from '@aws-sdk/client-rds-data';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataApiDatabase } from '../../../../core/db/index.ts';
import type { AwsService } from '../../../../local/kernel/index.ts';
import { dataApiService } from '../../../../local/services/rds-data/data-api.ts';
import { DataApiSessions } from '../../../../local/services/rds-data/data-api-sessions.ts';
import { openPglite, openPostgres, type SqlEngine } from '../../../../local/services/rds-data/sql-engine.ts';
import { Secrets } from '../../../../local/services/secrets/index.ts';
import { directDataApi } from '../../../support/direct-data-api.ts';
import { allow, startEndpoints, type TestEndpoints } from '../../../support/local/aws-endpoints.ts';
import { ManualClock } from '../../../support/local/manual-clock.ts';
import { ownDatabase } from '../../../support/own-database.ts';

const CLUSTER = 'arn:aws:rds:eu-west-1:000000000000:cluster:test';
const MINUTE = 60_000;
const ROLE = `app_${process.pid}_${Date.now()}`;

let endpoints: TestEndpoints;
let engine: SqlEngine;
let server: Awaited<ReturnType<typeof ownDatabase>>;
let service: AwsService;
let client: RDSDataClient;
let owner: { resourceArn: string; secretArn: string };
let secrets: Secrets;
const clock = new ManualClock();
const folder = mkdtempSync(join(tmpdir(), 'paku-ota-data-api-'));

beforeAll(async () => {
  server = await ownDatabase();
  engine = server === undefined ? await openPglite() : openPostgres(server.url);
  secrets = new Secrets(join(folder, 'secrets.json'));
  const options = { engine, secrets, clusterArns: [CLUSTER], clock };
  service = dataApiService({ ...options, statementTimeoutMs: 500 });
  endpoints = await startEndpoints({ 'rds-data': service });
  client = new RDSDataClient(endpoints.operator);
  owner = as('paku_owner');
  await execute('CREATE TABLE t (id int PRIMARY KEY, note text NOT NULL)');
});

afterAll(async () => {
  await endpoints.aws.close();
  await engine.close();
  await server?.drop();
  rmSync(folder, { recursive: true });
});

function as(username: string) {
  const { arn } = secrets.getOrCreate(username, () => JSON.stringify({ username, password: 'secret' }));
  return { resourceArn: CLUSTER, secretArn: arn };
}

function execute(sql: string, more: Partial<ExecuteStatementCommandInput> = {}) {
  return client.send(new ExecuteStatementCommand({ ...owner, sql, ...more }));
}

async function value(sql: string, parameters: SqlParameter[] = []): Promise<Field | undefined> {
  return (await execute(sql, { parameters })).records?.[0]?.[0];
}

const p = (name: string, field: Field): SqlParameter => ({ name, value: field });

describe('parameters', () => {
  it.each<[string, Field, string, Field]>([
    ['text', { stringValue: 'ü\u{1f600}' }, 'text', { stringValue: 'ü\u{1f600}' }],
    ['integers', { longValue: 9_007_199_254_740_991 }, 'bigint', { longValue: 9_007_199_254_740_991 }],
    ['floats', { doubleValue: 0.1 }, 'double precision', { doubleValue: 0.1 }],
    ['NaN', { doubleValue: Number.NaN }, 'double precision', { doubleValue: Number.NaN }],
    ['booleans', { booleanValue: false }, 'boolean', { booleanValue: false }],
    ['bytes', { blobValue: Uint8Array.of(0, 255) }, 'bytea', { blobValue: Uint8Array.of(0, 255) }],
  ])('of %s keep type and value', async (_, field, type, expected) => {
    expect(await value('SELECT pg_typeof(:a)::text', [p('a', field)])).toEqual({ stringValue: type });
    expect(await value('SELECT :a', [p('a', field)])).toMatchObject(expected);
  });

  it('that are null have any type', async () => {
    const nothing = p('a', { isNull: true });
    expect(await value('SELECT :a::timestamptz', [nothing])).toEqual({ isNull: true });
    expect(await value('SELECT coalesce(:a, 5)', [nothing])).toEqual({ longValue: 5 });
  });

  it('are not replaced in strings, names, comments, dollar quotes and casts', async () => {
    const sql = `SELECT ':a' || '''::a' || E'\\':a' || $$:a$$ || $x$ $$ :a $x$ || :a::text AS ":a" -- :b
      /* :c */`;
    expect(await value(sql, [p('a', { longValue: 7 })])).toEqual({ stringValue: ":a'::a':a:a $$ :a 7" });
  });

  it('can be used twice', async () => {
    expect(await value('SELECT :a || :b || :a', [p('a', { stringValue: 'x' }), p('b', { stringValue: 'y' })])).toEqual({
      stringValue: 'xyx',
    });
  });

  it('that are missing, positional, arrays or have a type hint are refused', async () => {
    await expect(value('SELECT :a')).rejects.toThrow('Cannot find parameter: a');
    await expect(value('SELECT $1')).rejects.toThrow(':name only');
    await expect(value(`SELECT '{}'::jsonb ? 'a'`)).rejects.toThrow('The statement has ?');
    expect(await value(`SELECT 'a?' /* ? */`)).toEqual({ stringValue: 'a?' });
    const array = p('a', { arrayValue: { stringValues: ['x'] } });
    await expect(value('SELECT :a', [array])).rejects.toThrow('arrayValue');
    await expect(value('SELECT :a', [{ ...p('a', { stringValue: '1' }), typeHint: 'DECIMAL' }])).rejects.toThrow(
      'typeHint',
    );
  });
});

describe('results', () => {
  it.each<[string, string, Field]>([
    [
      'timestamptz in UTC, without an offset',
      `'2026-01-02 03:04:05+02'::timestamptz`,
      { stringValue: '2026-01-02 01:04:05' },
    ],
    ['a fraction of three digits', `'2026-01-02 03:04:05.5Z'::timestamptz`, { stringValue: '2026-01-02 03:04:05.500' }],
    [
      'a fraction of six digits',
      `'2026-01-02 03:04:05.00005Z'::timestamptz`,
      { stringValue: '2026-01-02 03:04:05.000050' },
    ],
    ['numeric as text', '1.50::numeric', { stringValue: '1.50' }],
    ['smallint as long', '1::smallint', { longValue: 1 }],
    ['real as double', '1.5::real', { doubleValue: 1.5 }],
    ['json as text', `'{"a":1}'::json`, { stringValue: '{"a":1}' }],
    ['null', 'NULL::int', { isNull: true }],
  ])('have %s', async (_, expression, expected) => {
    expect(await value(`SELECT ${expression}`)).toEqual(expected);
  });

  it.each(['interval', 'oid', 'regclass', 'money', 'text[]'])('with %s must be cast to text', async (type) => {
    const literal =
      type === 'interval'
        ? `'1 day'::interval`
        : type === 'regclass'
          ? `'t'::regclass`
          : `'${type.endsWith('[]') ? '{}' : '1'}'::${type}`;
    await expect(value(`SELECT ${literal}`)).rejects.toMatchObject({ name: 'UnsupportedResultException' });
    expect(await value(`SELECT ${literal}::text`)).toHaveProperty('stringValue');
  });

  it('describe their columns on request, even without rows', async () => {
    const { columnMetadata, records } = await execute('SELECT id, note AS remark FROM t', {
      includeResultMetadata: true,
    });
    expect(records).toEqual([]);
    expect(columnMetadata).toMatchObject([
      { label: 'id', typeName: 'int4' },
      { label: 'remark', typeName: 'text' },
    ]);
    expect((await execute('SELECT 1')).columnMetadata).toBeUndefined();
  });

  it('of a write have the number of rows, or the rows of RETURNING', async () => {
    const counted = await execute(`INSERT INTO t VALUES (1, 'a'), (2, 'b')`);
    expect([counted.numberOfRecordsUpdated, counted.records]).toEqual([2, undefined]);
    const returned = await execute('DELETE FROM t RETURNING id');
    expect([returned.numberOfRecordsUpdated, returned.records?.length]).toEqual([0, 2]);
  });
});

describe('limits', () => {
  it('a request has at most 4 MiB', async () => {
    const megabytes = (count: number) => [p('a', { stringValue: 'x'.repeat(count * 1024 * 1024) })];
    expect(await value('SELECT length(:a)', megabytes(3))).toEqual({ longValue: 3 * 1024 * 1024 });
    await expect(value('SELECT length(:a)', megabytes(4))).rejects.toThrow('at most 4194304');
  });

  it('an answer has at most 1 MiB', async () => {
    const rows = (count: number) => `SELECT repeat('x', 60000) FROM generate_series(1, ${count})`;
    expect((await execute(rows(17))).records).toHaveLength(17);
    await expect(execute(rows(18))).rejects.toMatchObject({
      name: 'UnsupportedResultException',
      message: 'The result exceeds the size limit 1 MB.',
    });
  });

  it('a row has at most 64 KB', async () => {
    await expect(execute(`SELECT repeat('x', 65537)`)).rejects.toThrow('Packet for query is too large');
  });

  it('a call has one statement', async () => {
    expect(await value('SELECT 1;')).toEqual({ longValue: 1 });
    await expect(value('SELECT 1; SELECT 2')).rejects.toMatchObject({
      name: 'ValidationException',
      message: "Multistatements aren't supported.",
    });
  });

  it('schema, JSON records and transaction statements are refused', async () => {
    await expect(execute('SELECT 1', { schema: 'public' })).rejects.toThrow('schema');
    await expect(execute('SELECT 1', { formatRecordsAs: 'JSON' })).rejects.toThrow('formatRecordsAs');
    await expect(execute('-- so\n begin')).rejects.toThrow('BeginTransaction');
  });

  it('a statement that takes too long is stopped, on an engine that can be interrupted', async () => {
    const slow = execute('SELECT true FROM (SELECT pg_sleep(0.8)) AS slept');
    if (server === undefined) expect((await slow).records).toEqual([[{ booleanValue: true }]]);
    else await expect(slow).rejects.toMatchObject({ name: 'StatementTimeoutException' });
  });

  it('the error of a statement that took too long names the statement', async () => {
    const database = dataApiDatabase(client, { ...owner, database: 'paku_ota' });
    const slow = database.query('SELECT true AS x FROM (SELECT pg_sleep(0.8)) AS slept');
    if (server === undefined) expect(await slow).toEqual([{ x: true }]);
    else await expect(slow).rejects.toThrow('(in: SELECT true AS x FROM (SELECT pg_sleep(0.8)) AS slept)');
  });
});

describe('errors of PostgreSQL', () => {
  it.each([
    [`INSERT INTO t VALUES (1, NULL)`, /^ERROR: null value in column "note".*constraint; SQLState: 23502$/],
    ['SELECT nope', 'ERROR: column "nope" does not exist; Position: 8; SQLState: 42703'],
    ['SELECT 1 / 0', 'ERROR: division by zero; SQLState: 22012'],
    [`SELECT 1::int = ''::text`, /Hint: No operator matches.*; Position: 15; SQLState: 42883$/s],
  ])('become DatabaseErrorException with the SQLSTATE in the message: %s', async (sql, message) => {
    await expect(execute(sql)).rejects.toMatchObject({
      name: 'DatabaseErrorException',
      message: typeof message === 'string' ? message : expect.stringMatching(message),
    });
  });
});

describe('transactions', () => {
  const begin = async () => (await client.send(new BeginTransactionCommand(owner))).transactionId ?? '';
  const commit = (transactionId: string) => client.send(new CommitTransactionCommand({ ...owner, transactionId }));
  const rollback = (transactionId: string) => client.send(new RollbackTransactionCommand({ ...owner, transactionId }));
  const notFound = { name: 'TransactionNotFoundException' };

  it('write on commit and nothing on rollback', async () => {
    const first = await begin();
    await execute(`INSERT INTO t VALUES (10, 'kept')`, { transactionId: first });
    expect(await commit(first)).toMatchObject({ transactionStatus: 'Transaction Committed' });
    const second = await begin();
    await execute(`INSERT INTO t VALUES (11, 'gone')`, { transactionId: second });
    expect(await rollback(second)).toMatchObject({ transactionStatus: 'Rollback Complete' });
    expect(await value(`SELECT string_agg(id::text, ',') FROM t`)).toEqual({ stringValue: '10' });
  });

  it('can be used with their id and the secret that began them, until they end', async () => {
    const transactionId = await begin();
    await expect(execute('SELECT 1', { transactionId, ...as('another') })).rejects.toMatchObject(notFound);
    await commit(transactionId);
    await expect(execute('SELECT 1', { transactionId })).rejects.toMatchObject(notFound);
    await expect(rollback('unknown')).rejects.toMatchObject(notFound);
  });

  it('accept one call at a time', async () => {
    const sessions = new DataApiSessions(engine, clock);
    const id = await sessions.begin({ role: undefined, statementTimeoutMs: 0 }, owner.secretArn);
    let finish = () => {};
    const first = sessions.runInTransaction(
      id,
      owner.secretArn,
      () => new Promise<void>((resolve) => (finish = resolve)),
    );
    await expect(sessions.runInTransaction(id, owner.secretArn, async () => {})).rejects.toMatchObject({
      code: 'DatabaseErrorException',
      message: 'Transaction is still running a query',
    });
    finish();
    await first;
    await sessions.rollback(id, owner.secretArn);
  });

  it('cannot be committed after a failed statement', async () => {
    const transactionId = await begin();
    await expect(execute('SELECT nope', { transactionId })).rejects.toThrow('42703');
    await expect(commit(transactionId)).rejects.toThrow('SQLState: 25P02');
    await expect(commit(transactionId)).rejects.toMatchObject(notFound);
  });

  it('are rolled back after three minutes without a call', async () => {
    const transactionId = await begin();
    await clock.advance(2 * MINUTE);
    await execute(`INSERT INTO t VALUES (12, 'gone')`, { transactionId });
    await clock.advance(2 * MINUTE);
    await execute('SELECT 1', { transactionId });
    await clock.advance(3 * MINUTE);
    await expect(commit(transactionId)).rejects.toMatchObject(notFound);
    expect(await value('SELECT count(*) FROM t WHERE id = 12')).toEqual({ longValue: 0 });
  });

  it('make other calls wait only if the engine has a single connection', async () => {
    const order: string[] = [];
    const transactionId = await begin();
    const other = execute('SELECT 1').then(() => order.push('other'));
    if (server !== undefined) await other;
    await execute('SELECT 1', { transactionId }).then(() => order.push('transaction'));
    await commit(transactionId);
    await other;
    expect(order).toEqual(server === undefined ? ['transaction', 'other'] : ['other', 'transaction']);
  });
});

describe('callers', () => {
  it('run with the rights of the role that their secret names', async () => {
    await expect(execute('SELECT 1', as(ROLE))).rejects.toThrow(
      `FATAL: password authentication failed for user "${ROLE}"; SQLState: 28P01`,
    );
    await execute(`CREATE ROLE ${ROLE}`);
    expect((await execute('SELECT current_user', as(ROLE))).records).toEqual([[{ stringValue: ROLE }]]);
    await expect(execute('SELECT * FROM t', as(ROLE))).rejects.toThrow('SQLState: 42501');
    expect((await execute('SELECT 1 FROM t LIMIT 1')).records).toHaveLength(1);
    await execute(`DROP ROLE ${ROLE}`);
  });

  it('need permission for the operation and for reading the secret', async () => {
    const send = (...statements: object[]) =>
      new RDSDataClient(endpoints.role(...statements)).send(new ExecuteStatementCommand({ ...owner, sql: 'SELECT 1' }));
    const run = allow('rds-data:ExecuteStatement', CLUSTER);
    const read = allow('secretsmanager:GetSecretValue', owner.secretArn);
    await expect(send(read)).rejects.toMatchObject({
      name: 'AccessDeniedException',
      message: expect.stringContaining('rds-data:Exec'),
    });
    await expect(send(run)).rejects.toMatchObject({
      name: 'AccessDeniedException',
      message: expect.stringContaining('GetSecretValue'),
    });
    expect((await send(run, read)).records).toEqual([[{ longValue: 1 }]]);
  });

  it('need a known cluster and secret', async () => {
    const secretOf = (name: string, value: string) => secrets.getOrCreate(name, () => value).arn;
    await expect(execute('SELECT 1', { resourceArn: `${CLUSTER}x` })).rejects.toMatchObject({
      name: 'DatabaseNotFoundException',
    });
    await expect(execute('SELECT 1', { secretArn: 'arn:x' })).rejects.toMatchObject({ name: 'SecretsErrorException' });
    await expect(execute('SELECT 1', { secretArn: secretOf('key', 'no json') })).rejects.toMatchObject({
      name: 'InvalidSecretException',
    });
  });
});

// A server keeps prepared statements and settings for each connection, and a connection serves many calls.
describe('a statement', () => {
  it('that was run before has the columns and types that its table has now', async () => {
    await execute('CREATE TABLE changing (a int)');
    await execute('INSERT INTO changing VALUES (1)');
    const rows = async () => (await execute('SELECT * FROM changing')).records;
    for (let n = 0; n < 7; n++) expect(await rows()).toEqual([[{ longValue: 1 }]]);
    await execute(`ALTER TABLE changing ADD COLUMN b text DEFAULT 'new'`);
    expect(await rows()).toEqual([[{ longValue: 1 }, { stringValue: 'new' }]]);
    await execute('ALTER TABLE changing ALTER COLUMN a TYPE text');
    expect(await rows()).toEqual([[{ stringValue: '1' }, { stringValue: 'new' }]]);
    await execute('DROP TABLE changing');
    await expect(rows()).rejects.toThrow('SQLState: 42P01');
  });

  it('that failed before is run again', async () => {
    const read = () => value('SELECT n FROM later');
    for (let n = 0; n < 2; n++) await expect(read()).rejects.toThrow('SQLState: 42P01');
    await execute('CREATE TABLE later AS SELECT 3 AS n');
    expect(await read()).toEqual({ longValue: 3 });
    await execute('DROP TABLE later');
  });

  it('leaves the role and the time limit of the next call as they were', async () => {
    await execute(`CREATE ROLE ${ROLE}_kept`);
    const settings = () => value(`SELECT current_user || ' ' || current_setting('statement_timeout')`);
    const before = await settings();
    for (const change of [`SET ROLE ${ROLE}_kept`, 'SET statement_timeout = 7000', 'RESET statement_timeout']) {
      await execute(change);
      expect(await settings()).toEqual(before);
    }
    await execute(`DROP ROLE ${ROLE}_kept`);
  });
});

describe('the direct client of other tests', () => {
  const withoutMetadata = ({ $metadata: _, ...output }: { $metadata?: object }) => output;
  /** The output of a call, or its error as callers see it. */
  const answerOf = (api: Pick<RDSDataClient, 'send'>, input: Partial<ExecuteStatementCommandInput> & { sql: string }) =>
    api
      .send(new ExecuteStatementCommand({ ...owner, includeResultMetadata: true, ...input }))
      .then(withoutMetadata, (error: Error) => ({
        constructor: error.constructor,
        name: error.name,
        message: error.message,
      }));

  it.each([
    { sql: `SELECT 1, 0.5::float8, true, NULL, 'x', now()::date, '{}'::jsonb, 1.5::numeric AS n` },
    { sql: 'SELECT :a || :b AS x', parameters: [p('a', { stringValue: 'ü' }), p('b', { longValue: 7 })] },
    { sql: 'SELECT :a AS x', parameters: [p('a', { isNull: true })] },
    { sql: `UPDATE t SET note = 'changed' WHERE id = -1` },
    { sql: `SELECT 'x' AS x WHERE false` },
    { sql: 'SELECT nope' },
    { sql: 'SELECT 1; SELECT 2' },
    { sql: 'SELECT :a' },
    { sql: 'SELECT 1', secretArn: 'no secret' },
    { sql: 'SELECT 1', resourceArn: 'no cluster' },
    { sql: 'SELECT 1', transactionId: 'none' },
  ])('gets the same answer as the client over HTTP: %j', async (input) => {
    const tester = { name: 'tester', arn: 'arn:aws:iam::000000000000:user/tester', allows: () => true };
    expect(await answerOf(directDataApi(service, tester), input)).toEqual(await answerOf(client, input));
  });
});
