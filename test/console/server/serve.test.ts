import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type OutgoingHttpHeaders, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningConsole, startConsole } from '../../../console/server/serve.ts';
import { IDLE_MS, LIFETIME_MS, Sessions } from '../../../console/server/sessions.ts';

/** Stands in for the API and S3, and records the requests. */
interface Upstream {
  readonly url: string;
  readonly seen: { method: string; url: string; headers: IncomingHttpHeaders; body: Buffer }[];
  answer: { status: number; headers?: OutgoingHttpHeaders; body: string };
  readonly server: Server;
}

let files: string;
let upstream: Upstream;
let running: RunningConsole;
beforeAll(async () => {
  files = mkdtempSync(join(tmpdir(), 'paku-console-'));
  mkdirSync(join(files, 'assets'));
  writeFileSync(join(files, 'index.html'), '<!doctype html><title>pages</title>');
  writeFileSync(join(files, 'assets', 'index-1.js'), 'export {};');
  upstream = await startUpstream();
  const signed = { authorization: 'signed' };
  running = await startConsole({
    files,
    apiUrl: upstream.url,
    fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...signed } }),
    port: 0,
  });
});
afterAll(async () => {
  await running?.close();
  upstream?.server.close();
  rmSync(files, { recursive: true, force: true });
});

async function startUpstream(): Promise<Upstream> {
  const server = createServer(async (incoming, response) => {
    const { method = '', url = '', headers } = incoming;
    parts.seen.push({ method, url, headers, body: await buffer(incoming) });
    const { status, headers: answered = {}, body } = parts.answer;
    response.writeHead(status, answered).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const parts: Upstream = { url, seen: [], answer: { status: 200, body: '{}' }, server };
  return parts;
}

interface Call {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Buffer;
}

function call({ method = 'GET', path = '/', headers = {}, body }: Call) {
  return new Promise<{ status: number; headers: IncomingHttpHeaders; body: string }>((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port: running.port, method, path, headers: { host: host(), ...headers } },
      async (response) =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: await text(response) }),
    );
    sent.on('error', reject).end(body);
  });
}

const host = () => `127.0.0.1:${running.port}`;
const origin = () => `http://${host()}`;
const keyOf = ({ url }: RunningConsole) => new URL(url).hash.replace('#key=', '');

async function openSession(key = keyOf(running)): Promise<string> {
  const headers = { origin: origin(), 'x-paku-ota-key': key };
  const { status, body } = await call({ method: 'POST', path: '/session', headers });
  return status === 201 ? (JSON.parse(body) as { token: string }).token : '';
}

/** The header of a new session. */
const session = async () => ({ authorization: `Bearer ${await openSession()}` });

describe('admission', () => {
  test('the key in the fragment of the address opens a session, and no answer sets a cookie', async () => {
    expect(running.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#key=[\w-]{32}$/);
    const headers = { origin: origin(), 'x-paku-ota-key': keyOf(running) };
    const opened = await call({ method: 'POST', path: '/session', headers });
    expect(opened.status).toBe(201);
    expect(opened.headers).toMatchObject({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' });
    const { token } = JSON.parse(opened.body) as { token: string };
    const called = await call({ path: '/v1/info', headers: { authorization: `Bearer ${token}` } });
    expect(called.status).toBe(200);
    for (const answer of [opened, called, await call({})]) expect(answer.headers['set-cookie']).toBeUndefined();
  });

  test('every path is a page without a session, and the browser caches files whose names contain a hash', async () => {
    for (const path of ['/', '/rollouts/7']) {
      expect(await call({ path })).toMatchObject({ status: 200, body: '<!doctype html><title>pages</title>' });
    }
    const script = await call({ path: '/assets/index-1.js' });
    expect(script.headers['cache-control']).toContain('immutable');
    expect(script.headers['content-type']).toContain('text/javascript');
    expect((await call({ path: '/assets/gone.js' })).status).toBe(404);
  });

  test.each([
    ['nothing', {}],
    ['another token', { authorization: `Bearer ${'x'.repeat(32)}` }],
    ['a token in a cookie', { cookie: `paku_ota=${'x'.repeat(32)}` }],
    ['Basic', { authorization: 'Basic eDp4' }],
  ])('a call with %s is refused by a problem that the pages recognize', async (_, headers) => {
    const before = upstream.seen.length;
    for (const path of ['/v1/info', '/v1/devices/X']) {
      const { status, body } = await call({ path, headers });
      expect(status).toBe(403);
      expect(JSON.parse(body)).toMatchObject({ type: 'urn:paku-ota:console-no-session', status: 403 });
    }
    const upload = { method: 'PUT', path: '/upload/x', headers: { ...headers, origin: origin() }, body: 'x' };
    expect((await call(upload)).status).toBe(403);
    expect(upstream.seen.length).toBe(before);
  });

  test('the key is not a token, a token is not the key, and a wrong key opens nothing', async () => {
    const token = await openSession();
    expect((await call({ path: '/v1/info', headers: { authorization: `Bearer ${keyOf(running)}` } })).status).toBe(403);
    for (const wrong of [token, '', keyOf(running).slice(1), 'x'.repeat(32)]) expect(await openSession(wrong)).toBe('');
  });

  test('a session ends after an hour without a call, and after twelve hours in any case', async () => {
    let now = 0;
    const sessions = new Sessions(() => now);
    const idle = `Bearer ${sessions.open(sessions.key)}`;
    const busy = `Bearer ${sessions.open(sessions.key)}`;
    for (; now < LIFETIME_MS; now += IDLE_MS - 1) expect(sessions.admit(busy)).toBe(true);
    expect(sessions.admit(busy)).toBe(false);
    expect(sessions.admit(idle)).toBe(false);
    now = 0;
    expect([sessions.admit(busy), sessions.admit(idle)]).toEqual([false, false]);
  });

  test('the number of open sessions is limited; the oldest ends first', () => {
    const sessions = new Sessions(() => 0);
    const [first = '', ...others] = Array.from({ length: 101 }, () => `Bearer ${sessions.open(sessions.key)}`);
    expect(sessions.admit(first)).toBe(false);
    for (const other of others) expect(sessions.admit(other)).toBe(true);
  });

  test.each(['ota.example', 'ota.example:8482', '127.0.0.1', '127.0.0.1.nip.io:1', '192.168.1.20:8482'])(
    'Host "%s" is refused with and without a session',
    async (name) => {
      const before = upstream.seen.length;
      for (const path of ['/', '/v1/info']) {
        expect((await call({ path, headers: { ...(await session()), host: name } })).status).toBe(403);
      }
      const opening = { host: name, origin: `http://${name}`, 'x-paku-ota-key': keyOf(running) };
      expect((await call({ method: 'POST', path: '/session', headers: opening })).status).toBe(403);
      expect(upstream.seen.length).toBe(before);
    },
  );

  test('localhost is this machine too', async () => {
    const headers = { ...(await session()), host: `localhost:${running.port}` };
    expect((await call({ path: '/v1/info', headers })).status).toBe(200);
  });

  test.each([
    ['another page', { origin: 'https://evil.example' }],
    ['another program on this machine', { origin: 'http://127.0.0.1:1' }],
    ['a sandboxed page', { origin: 'null' }],
    ['no page, on a call that changes something', {}],
  ])('Origin of %s is refused', async (_, headers) => {
    const before = upstream.seen.length;
    const own = { ...(await session()), 'content-type': 'application/json', ...headers };
    const answer = await call({ method: 'POST', path: '/v1/rollouts', headers: own, body: '{}' });
    expect(answer.status).toBe(403);
    const opening = { 'x-paku-ota-key': keyOf(running), ...headers };
    expect((await call({ method: 'POST', path: '/session', headers: opening })).status).toBe(403);
    expect(upstream.seen.length).toBe(before);
  });

  test('a fetch by another page of this machine is refused, a link on it is not', async () => {
    const headers = { ...(await session()), 'sec-fetch-site': 'same-site' };
    expect((await call({ path: '/v1/info', headers: { ...headers, 'sec-fetch-mode': 'no-cors' } })).status).toBe(403);
    const link = { ...headers, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
    expect((await call({ headers: link })).status).toBe(200);
    expect((await call({ headers: { ...link, 'sec-fetch-dest': 'iframe' } })).status).toBe(403);
  });

  test('it listens on loopback alone', async () => {
    const options = { files, apiUrl: upstream.url, fetch, port: 0 };
    await expect(startConsole({ ...options, host: '0.0.0.0' })).rejects.toThrow('expected one of 127.0.0.1');
    await expect(startConsole({ ...options, host: '192.168.1.20' })).rejects.toThrow('your credentials');
  });
});

test('pages may run only their own scripts and may not be framed, and answers of the API are not cached', async () => {
  const headers = await session();
  const page = await call({ headers });
  expect(page.headers['content-security-policy']).toContain("default-src 'none'; script-src 'self'; style-src 'self';");
  expect(page.headers['content-security-policy']).toContain("frame-ancestors 'none'");
  expect(page.headers['x-content-type-options']).toBe('nosniff');
  upstream.answer = { status: 200, headers: { 'content-type': 'application/json' }, body: '{"version":"1"}' };
  expect((await call({ path: '/v1/info', headers })).headers['cache-control']).toBe('no-store');
});

describe('a call', () => {
  test('is forwarded signed, with its query, body and If-Match, and without the session', async () => {
    const body = '{"min_reports":3}';
    const etag = { etag: '"2"' };
    upstream.answer = {
      status: 412,
      headers: { 'content-type': 'application/problem+json', ...etag },
      body: '{"a":1}',
    };
    const headers = { ...(await session()), origin: origin(), 'content-type': 'application/json', 'if-match': '"1"' };
    const answer = await call({ method: 'PATCH', path: '/v1/rollouts/7?x=1&y=%2F', headers, body });
    expect(answer).toMatchObject({ status: 412, body: '{"a":1}' });
    expect(answer.headers).toMatchObject({ 'content-type': 'application/problem+json', ...etag });
    const seen = upstream.seen.at(-1);
    expect(seen).toMatchObject({ method: 'PATCH', url: '/v1/rollouts/7?x=1&y=%2F', body: Buffer.from(body) });
    expect(seen?.headers).toMatchObject({ authorization: 'signed', 'if-match': '"1"' });
  });

  test('with a body of more than 10 MB is refused, also where its length is not stated', async () => {
    const before = upstream.seen.length;
    const headers = { ...(await session()), origin: origin(), 'transfer-encoding': 'chunked' };
    const body = Buffer.alloc(10 * 1024 * 1024 + 1, 'x');
    expect((await call({ method: 'POST', path: '/v1/rollouts', headers, body })).status).toBe(413);
    expect(upstream.seen.length).toBe(before);
  });

  test('cannot leave /v1/', async () => {
    const before = upstream.seen.length;
    const headers = await session();
    await call({ path: '/v1/../d/token', headers });
    await call({ path: '/v1/%2e%2e/d/token', headers });
    expect(upstream.seen.length).toBe(before);
  });

  test('to an unreachable API is answered with the error', async () => {
    const gone = await startConsole({ files, apiUrl: 'http://127.0.0.1:1', fetch, port: 0 });
    const own = new URL(gone.url);
    const opening = { origin: own.origin, 'x-paku-ota-key': keyOf(gone) };
    const opened = await fetch(`${own.origin}/session`, { method: 'POST', headers: opening });
    const { token } = (await opened.json()) as { token: string };
    const answer = await fetch(`${own.origin}/v1/info`, { headers: { authorization: `Bearer ${token}` } });
    expect(answer.status).toBe(502);
    expect(await answer.json()).toMatchObject({ title: 'The API cannot be reached' });
    await gone.close();
  });
});

describe('an upload', () => {
  async function begin(): Promise<string> {
    const upload = {
      upload_url: `${upstream.url}/bucket/key?X-Amz-Signature=secret`,
      headers: { 'x-amz-meta-changelog': 'Heater fixed' },
      object_key: 'key',
    };
    upstream.answer = { status: 201, body: JSON.stringify(upload) };
    const headers = { ...(await session()), origin: origin() };
    const { body } = await call({ method: 'POST', path: '/v1/uploads', headers, body: '{}' });
    expect(body).not.toContain('secret');
    return (JSON.parse(body) as { upload_url: string }).upload_url;
  }
  const put = async (path: string, body: Buffer) =>
    call({
      method: 'PUT',
      path,
      headers: { ...(await session()), origin: origin(), 'content-length': body.length, 'x-amz-meta-mine': 'no' },
      body,
    });

  test('goes once to the URL that the API returned, with its headers and the length', async () => {
    const image = Buffer.alloc(300_000, 0xe9);
    const path = await begin();
    upstream.answer = { status: 200, body: '' };
    expect((await put(path, image)).status).toBe(204);
    const seen = upstream.seen.at(-1);
    expect(seen).toMatchObject({ method: 'PUT', url: '/bucket/key?X-Amz-Signature=secret' });
    expect(seen?.headers).toMatchObject({ 'x-amz-meta-changelog': 'Heater fixed', 'content-length': '300000' });
    expect(seen?.headers['x-amz-meta-mine']).toBeUndefined();
    expect(seen?.body.equals(image)).toBe(true);
    expect((await put(path, image)).status).toBe(404);
  });

  test('to an unknown ticket is not forwarded', async () => {
    const before = upstream.seen.length;
    for (const path of ['/upload/x', `/upload/${encodeURIComponent(upstream.url)}`]) {
      expect((await put(path, Buffer.from('x'))).status).toBe(404);
    }
    expect(upstream.seen.length).toBe(before);
  });

  test('that S3 refuses is answered with the code of S3', async () => {
    const path = await begin();
    upstream.answer = { status: 403, body: '<Error><Code>AccessDenied</Code><Signature>x</Signature></Error>' };
    const answer = await put(path, Buffer.from('x'));
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body)).toMatchObject({ detail: 'S3 answered 403 AccessDenied.' });
  });
});
