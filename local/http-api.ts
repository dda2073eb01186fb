import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { AwsError } from './aws-error.ts';
import type { Identity } from './aws-service.ts';
import { toEvent, writeJson, writeResult } from './http-event.ts';
import { bySpecificity, compileRoute, type RoutePattern } from './http-routes.ts';
import { type SigV4Options, verifySigV4 } from './sigv4.ts';
import { verifiedBody } from './sigv4-body.ts';
import { splitOnce } from './text.ts';

export interface HttpRoute {
  /** `GET /d/{token}` */
  readonly routeKey: string;
  /** `arn:aws:execute-api:{region}:{account}:{api}/$default`, for routes that only signed requests may call. */
  readonly signedArn?: string | undefined;
  readonly timeoutMs: number;
  invoke(event: object): Promise<unknown>;
}

export interface HttpApiOptions extends SigV4Options {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly log: (line: string) => void;
}

export interface HttpApi {
  readonly port: number;
  /** Until this is called every path is unknown: the templates name the API's address, so it listens before they are read. */
  serve(routes: readonly HttpRoute[]): void;
  close(): Promise<void>;
}

type Route = HttpRoute & RoutePattern;

/** API Gateway takes at most this much (HTTP API quotas). */
const MAX_BODY_BYTES = 10 * 1024 * 1024;

/** An HTTP API with payload format 2.0: each request becomes an event of its route's function. */
export async function startHttpApi(options: HttpApiOptions): Promise<HttpApi> {
  let routes: Route[] = [];
  const server = createServer((request, response) => {
    answer(request, response, routes, options).catch((error: Error) => {
      // By route, never by path: a path may hold a token.
      options.log(`http ${request.method}: ${error.message}`);
      if (!response.headersSent) writeJson(response, 500, { message: 'Internal Server Error' });
    });
  });
  await new Promise<void>((resolve, reject) =>
    server.once('error', reject).listen(options.port, options.host, resolve),
  );
  return {
    port: (server.address() as AddressInfo).port,
    serve(given) {
      routes = given.map((route) => ({ ...route, ...compileRoute(route.routeKey) })).sort(bySpecificity);
    },
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  routes: readonly Route[],
  options: HttpApiOptions,
): Promise<void> {
  const [path] = splitOnce(request.url ?? '/', '?');
  const [route, pathParameters] = findRoute(routes, request.method ?? '', path) ?? [];
  if (route === undefined || pathParameters === undefined) return writeJson(response, 404, { message: 'Not Found' });
  const body = await readBody(request);
  if (body === undefined) return writeJson(response, 413, { message: 'Request Entity Too Large' });
  const identity = route.signedArn === undefined ? undefined : await signer(request, body, route.signedArn, options);
  if (identity === null) return writeJson(response, 403, { message: 'Forbidden' });
  const { routeKey } = route;
  const event = toEvent({ request, body, routeKey, pathParameters, identity, now: options.clock() });
  const result = await within(route.timeoutMs, route.invoke(event));
  if (result === TIMED_OUT) writeJson(response, 503, { message: 'Service Unavailable' });
  else writeResult(response, result);
}

function findRoute(routes: readonly Route[], method: string, path: string) {
  for (const route of routes) {
    const pathParameters = route.match(method, path);
    if (pathParameters !== undefined) return [route, pathParameters] as const;
  }
  return undefined;
}

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size <= MAX_BODY_BYTES) pieces.push(piece);
  }
  return size > MAX_BODY_BYTES ? undefined : Buffer.concat(pieces);
}

/** Who signed a request, or null where nobody did who may call the route. */
async function signer(
  { method = '', url = '/', headers }: IncomingMessage,
  body: Buffer,
  signedArn: string,
  options: SigV4Options,
): Promise<Identity | null> {
  const [path, rawQuery] = splitOnce(url, '?');
  const bodySha256 = createHash('sha256').update(body).digest('hex');
  try {
    const signature = verifySigV4({ method, path, rawQuery, headers, bodySha256 }, options);
    if (signature.service !== 'execute-api') return null;
    await buffer(verifiedBody(Readable.from([body]), headers, signature));
    const { identity } = signature;
    return identity.allows('execute-api:Invoke', `${signedArn}/${method}${path}`) ? identity : null;
  } catch (error) {
    if (error instanceof AwsError) return null;
    throw error;
  }
}

const TIMED_OUT = Symbol('timed out');

async function within<T>(ms: number, result: Promise<T>): Promise<T | typeof TIMED_OUT> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<typeof TIMED_OUT>((resolve) => {
    timer = setTimeout(() => resolve(TIMED_OUT), ms);
  });
  // A function that fails after its caller was answered is told of by its log.
  result.catch(() => {});
  return Promise.race([result, timeout]).finally(() => clearTimeout(timer));
}
