import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import type { Sql } from '../../core/db/index.ts';
import { CALLER, TestApi } from '../../test/support/api.ts';
import { hostileNumber, hostileObject, hostileText, hostileValue } from './hostile.ts';

interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}
interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
}

const document = JSON.parse(readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8')) as {
  paths: Record<string, Record<string, Operation>>;
};

/** Valid values, so that not every request is refused by the schema. */
const KNOWN = ['d0', 'd1', 'esp32-s3', '2.0.0', 'r', '1', 'beta', 'firmware/2.0.0/esp32-s3.bin', 'status'];
const cursor = hostileValue.map((value) => Buffer.from(JSON.stringify(value) ?? '').toString('base64url'));
const text = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...KNOWN) },
  { weight: 4, arbitrary: hostileText },
  { weight: 1, arbitrary: hostileNumber.map(String) },
  { weight: 1, arbitrary: cursor },
);

/** A value that mostly has the type of the schema, with any content. */
function likely(schema: Schema): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 5, arbitrary: typed(schema) }, { weight: 1, arbitrary: hostileValue });
}

function typed({ type, enum: members, properties, items }: Schema): fc.Arbitrary<unknown> {
  if (members !== undefined) return fc.constantFrom(...members);
  const [first] = [type].flat();
  if (first === 'integer' || first === 'number') return hostileNumber;
  if (first === 'boolean') return fc.boolean();
  if (first === 'array') return fc.array(likely(items ?? {}), { maxLength: 4 });
  if (first !== 'object') return text;
  if (properties === undefined) return hostileObject(['site', 'region'], hostileValue);
  const named = Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, likely(schema)]));
  return fc.record(named, { requiredKeys: [] });
}

export interface HostileRequest {
  readonly method: string;
  readonly path: string;
  readonly body: string | undefined;
  readonly etag: string | undefined;
}

function requestsOf(path: string, method: string, { parameters = [], requestBody }: Operation) {
  const named = (where: string) =>
    parameters
      .filter((parameter) => parameter.in === where)
      .map(({ name, schema }): [string, fc.Arbitrary<string>] => [
        name,
        fc.oneof(
          text,
          typed(schema).map((value) => String(value)),
        ),
      ]);
  const schema = Object.values(requestBody?.content ?? {})[0]?.schema;
  const body = fc.oneof(
    { weight: 6, arbitrary: (schema === undefined ? hostileValue : typed(schema)).map((sent) => JSON.stringify(sent)) },
    { weight: 1, arbitrary: hostileText },
  );
  return fc
    .record({
      path: fc.record(Object.fromEntries(named('path'))),
      query: fc.record(Object.fromEntries(named('query')), { requiredKeys: [] }),
      body,
      etag: fc.option(fc.constantFrom('"1"', '*', 'x')),
    })
    .map(({ path: segments, query, body: sent, etag }): HostileRequest => {
      const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encode(String(segments[name])));
      const search = Object.entries(query).map(([name, value]) => `${name}=${encode(String(value))}`);
      return {
        method: method.toUpperCase(),
        path: `${filled}${search.length > 0 ? `?${search.join('&')}` : ''}`,
        body: method === 'get' ? undefined : sent,
        etag: etag ?? undefined,
      };
    });
}

/** Encodes a value for a path; what cannot be encoded is sent unchanged, as a hostile client could. */
function encode(value: string): string {
  try {
    return encodeURIComponent(value);
  } catch {
    return value;
  }
}

const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => requestsOf(path, method, operation)),
);
const anyPath = fc
  .tuple(fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'), hostileText, hostileText)
  .map(([method, path, body]): HostileRequest => {
    return { method, path: `/v1/${encode(path)}`, body: method === 'GET' ? undefined : body, etag: undefined };
  });

export const hostileRequest: fc.Arbitrary<HostileRequest> = fc.oneof(
  { weight: operations.length, arbitrary: fc.oneof(...operations) },
  { weight: 2, arbitrary: anyPath },
);

/** The API on a database, with a record of its statements. */
export class WatchedApi {
  /** The distinct texts of statements. A value that is written into a statement would add another text. */
  readonly statements = new Set<string>();
  readonly #api: TestApi;

  constructor(sql: Sql) {
    const watched: Sql = {
      query: (statement, values) => {
        this.statements.add(statement);
        return sql.query(statement, values);
      },
    };
    this.#api = new TestApi(watched, () => new Date('2026-03-02T12:00:00Z'));
  }

  /** @throws Error unless the request is answered without a failure of the service */
  async check({ method, path, body, etag }: HostileRequest): Promise<void> {
    const headers = { 'content-type': 'application/json', ...(etag === undefined ? {} : { 'if-match': etag }) };
    const init = { method, headers, ...(body === undefined ? {} : { body }) };
    const event = { requestContext: { authorizer: { iam: { userArn: CALLER } } } };
    const answer = await this.#api.app.request(`http://api${path}`, init, { event });
    const said = await answer.text();
    if (answer.status >= 500) throw new Error(`answered with ${answer.status}: ${said}`);
    if (said !== '') JSON.parse(said);
    if (answer.status >= 400 && answer.headers.get('content-type') !== 'application/problem+json')
      throw new Error(`refused with ${answer.headers.get('content-type')}`);
    if (said.length > 1024 * 1024) throw new Error(`answered with ${said.length} characters`);
  }
}
