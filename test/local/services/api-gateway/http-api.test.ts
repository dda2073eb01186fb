import { get as httpGet, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compilePolicy, Identities } from '../../../../local/kernel/index.ts';
import { type HttpApi, type HttpRoute, startHttpApi } from '../../../../local/services/api-gateway/http-api.ts';

const region = 'eu-west-1';
const API_ARN = 'arn:aws:execute-api:eu-west-1:000000000000:api/$default';

interface Event {
  readonly rawPath: string;
  readonly headers: Record<string, string>;
  readonly requestContext: { readonly authorizer?: object };
}

let api: HttpApi;
let url: string;
let log: string[];
let identities: Identities;

beforeEach(async () => {
  log = [];
  identities = new Identities();
  const line = (text: string) => log.push(text);
  api = await startHttpApi({ host: '127.0.0.1', port: 0, identities, region, clock: Date.now, log: line });
  url = `http://127.0.0.1:${api.port}`;
});

afterEach(() => api.close());

const route = (routeKey: string, invoke: (event: object) => Promise<unknown>, signedArn?: string): HttpRoute => ({
  routeKey,
  invoke,
  signedArn,
});

/** A route that answers with the event. */
const echo = (routeKey: string, signedArn?: string) => route(routeKey, async (event) => event, signedArn);

const get = async (path: string, init?: RequestInit) =>
  (await (await fetch(url + path, init)).json()) as Record<string, unknown>;

describe('the local HTTP API', () => {
  it('answers for the objects of a bucket from its own origin', async () => {
    const answer = async ({ url: path, method }: IncomingMessage) => ({
      status: 200,
      body: `${method} ${path}`,
    });
    api.serve([echo('GET /bucket-of-others/{key}')], { bucket: 'bucket', answer });
    expect(await (await fetch(`${url}/bucket/releases/a?X-Amz-Signature=1`)).text()).toBe(
      'GET /bucket/releases/a?X-Amz-Signature=1',
    );
    expect(await get('/bucket-of-others/a')).toMatchObject({ rawPath: '/bucket-of-others/a' });
    expect((await fetch(`${url}/bucket`)).status).toBe(404);
  });

  it('completes a Host header without the port, which some clients send and AWS needs none of', async () => {
    const answer = async ({ headers }: IncomingMessage) => ({ status: 200, body: String(headers.host) });
    api.serve([], { bucket: 'bucket', answer });
    const hostOf = (host: string) =>
      new Promise<string>((resolve, reject) => {
        const request = httpGet(`${url}/bucket/a`, { headers: { host } }, (response) => resolve(text(response)));
        request.on('error', reject);
      });
    const full = `127.0.0.1:${api.port}`;
    expect(await Promise.all([full, '127.0.0.1', '127.0.0.1:1', 'localhost'].map(hostOf))).toEqual([
      full,
      full,
      '127.0.0.1:1',
      'localhost',
    ]);
  });

  it('invokes functions with events of payload format 2.0', async () => {
    api.serve([echo('POST /d/{token}')]);
    const headers = { 'X-Test': 'Yes', 'content-type': 'application/json', 'user-agent': 'esp32' };
    expect(await get('/d/a%20b?x=1&x=2&y=', { method: 'POST', headers, body: '{"a":1}' })).toMatchObject({
      version: '2.0',
      routeKey: 'POST /d/{token}',
      rawPath: '/d/a b',
      rawQueryString: 'x=1&x=2&y=',
      queryStringParameters: { x: '1,2', y: '' },
      headers: { 'x-test': 'Yes' },
      pathParameters: { token: 'a b' },
      body: '{"a":1}',
      isBase64Encoded: false,
      requestContext: { http: { method: 'POST', path: '/d/a b', sourceIp: '127.0.0.1', userAgent: 'esp32' } },
    });
  });

  it('passes binary bodies as base64', async () => {
    api.serve([echo('PUT /x')]);
    const init = { method: 'PUT', body: new Uint8Array([0xff, 0x00]) };
    expect(await get('/x', init)).toMatchObject({ body: '/wA=', isBase64Encoded: true });
  });

  it('returns the status, headers and binary body of a result', async () => {
    const result = { statusCode: 206, headers: { 'x-a': 'b' }, body: '/wA=', isBase64Encoded: true };
    api.serve([route('GET /x', async () => result)]);
    const response = await fetch(`${url}/x`);
    expect([response.status, response.headers.get('x-a'), response.headers.get('content-length')]).toEqual([
      206,
      'b',
      '2',
    ]);
    expect([...new Uint8Array(await response.arrayBuffer())]).toEqual([0xff, 0]);
  });

  it('chooses the most specific route in any order of routes', async () => {
    const named = (routeKey: string) => route(routeKey, async () => ({ chosen: routeKey }));
    api.serve(['ANY /v1/{rest+}', 'GET /v1/{id}', 'ANY /v1/list', 'GET /v1/list'].map(named));
    const chosen = async (path: string, method = 'GET') => (await get(path, { method })).chosen;
    expect(await chosen('/v1/list')).toBe('GET /v1/list');
    expect(await chosen('/v1/list', 'POST')).toBe('ANY /v1/list');
    expect(await chosen('/v1/7')).toBe('GET /v1/{id}');
    expect(await chosen('/v1/7/8')).toBe('ANY /v1/{rest+}');
  });

  it('answers 404 if no route matches, and before it has routes', async () => {
    expect((await fetch(`${url}/x`)).status).toBe(404);
    api.serve([echo('GET /x')]);
    const statuses = ['/x/y', '/', '//x', '/%zz'].map(async (path) => (await fetch(url + path)).status);
    expect(await Promise.all(statuses)).toEqual([404, 404, 404, 404]);
    expect((await fetch(`${url}/x`, { method: 'POST' })).status).toBe(404);
  });

  it('answers 500 without details when the function fails, and logs why but not the path', async () => {
    api.serve([route('GET /d/{token}', () => Promise.reject(new Error('database password')))]);
    const response = await fetch(`${url}/d/sesame`);
    expect([response.status, await response.text()]).toEqual([500, '{"message":"Internal Server Error"}']);
    expect(log.join()).toContain('database password');
    expect(log.join()).not.toContain('sesame');
  });

  it('accepts bodies of up to 10 MB', async () => {
    api.serve([route('PUT /x', async () => ({ statusCode: 200 }))]);
    const put = async (bytes: number) =>
      (await fetch(`${url}/x`, { method: 'PUT', body: new Uint8Array(bytes) })).status;
    expect([await put(10 * 1024 * 1024), await put(10 * 1024 * 1024 + 1)]).toEqual([200, 413]);
  });
});

describe('a route for signed requests', () => {
  const statement = { Effect: 'Allow', Action: 'execute-api:Invoke', Resource: `${API_ARN}/POST/v1/*` };
  const policy = compilePolicy('ci', [{ Version: '2012-10-17', Statement: [statement] }]);

  beforeEach(() => api.serve([echo('POST /v1/things', API_ARN), echo('POST /other', API_ARN)]));

  async function signed(path: string, service = 'execute-api', sent = '{"a":1}'): Promise<Response> {
    const credentials = identities.issueRole('ci', 'arn:aws:iam::000000000000:role/ci', policy);
    const host = `127.0.0.1:${api.port}`;
    const signer = new SignatureV4({ credentials, region, service, sha256: Sha256 });
    const request = { method: 'POST', protocol: 'http:', hostname: host, path, headers: { host }, body: '{"a":1}' };
    const { headers } = await signer.sign(request);
    const { host: _, ...others } = headers;
    return fetch(url + path, { method: 'POST', headers: others, body: sent });
  }

  it('passes the signer to the function', async () => {
    const event = (await (await signed('/v1/things')).json()) as Event;
    expect(event.requestContext.authorizer).toEqual({ iam: { userArn: 'arn:aws:iam::000000000000:role/ci' } });
  });

  it('is forbidden without a signature, for another service, for another body, and without the permission', async () => {
    expect((await fetch(`${url}/v1/things`, { method: 'POST' })).status).toBe(403);
    expect((await signed('/v1/things', 's3')).status).toBe(403);
    expect((await signed('/v1/things', 'execute-api', '{"a":2}')).status).toBe(403);
    expect((await signed('/other')).status).toBe(403);
  });
});

it('a route key that is not a method and a path is an error at start', () => {
  expect(() => api.serve([echo('$default')])).toThrow('expected a method and a path');
});
