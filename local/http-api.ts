import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { URL } from 'node:url';
import type { APIGatewayProxyStructuredResultV2 } from 'aws-lambda';

export interface HttpRoute {
  /** `GET /d/{token}` */
  readonly routeKey: string;
  invoke(event: object): Promise<unknown>;
}

export interface HttpApi {
  readonly port: number;
  /** Set once the templates were read; until then every path is unknown. */
  routes: readonly HttpRoute[];
  close(): Promise<void>;
}

/** API Gateway takes at most this much (HTTP API quotas). */
const MAX_BODY_BYTES = 10 * 1024 * 1024;

/** An HTTP API with payload format 2.0: each request becomes an event of a route's function. */
export async function startHttpApi(host: string, port: number, log: (line: string) => void): Promise<HttpApi> {
  const api: HttpApi = { port: 0, routes: [], close };
  const server = createServer((request, response) => {
    serve(request, response, api.routes).catch((error: Error) => {
      log(`http ${request.method}: ${error.message}`);
      reply(response, {
        statusCode: 500,
        headers: { 'content-type': 'application/json' },
        body: '{"message":"Internal Server Error"}',
      });
    });
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  return Object.assign(api, { port: (server.address() as AddressInfo).port });

  function close(): Promise<void> {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  }
}

async function serve(request: IncomingMessage, response: ServerResponse, routes: readonly HttpRoute[]): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://local');
  for (const { routeKey, invoke } of routes) {
    const pathParameters = matchRoute(routeKey, request.method ?? '', url.pathname);
    if (pathParameters === undefined) continue;
    const event = await toEvent(request, url, routeKey, pathParameters);
    if (event === undefined) return reply(response, { statusCode: 413, body: '{"message":"Request Too Long"}' });
    return reply(response, (await invoke(event)) as APIGatewayProxyStructuredResultV2);
  }
  return reply(response, {
    statusCode: 404,
    headers: { 'content-type': 'application/json' },
    body: '{"message":"Not Found"}',
  });
}

/** The path's parameters, or undefined where the route is not this request's. */
export function matchRoute(routeKey: string, method: string, path: string): Record<string, string> | undefined {
  const [routeMethod = '', template = ''] = routeKey.split(' ');
  if (routeMethod !== 'ANY' && routeMethod !== method) return undefined;
  const pattern = template.replaceAll(/\{(\w+)\+\}/g, '(?<$1>.+)').replaceAll(/\{(\w+)\}/g, '(?<$1>[^/]+)');
  const match = new RegExp(`^${pattern}$`).exec(path);
  return match === null ? undefined : { ...match.groups };
}

async function toEvent(request: IncomingMessage, url: URL, routeKey: string, pathParameters: Record<string, string>) {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) return undefined;
  const body = await buffer(request);
  const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
  const queryStringParameters = Object.fromEntries(url.searchParams);
  const sourceIp = request.socket.remoteAddress ?? '';
  const time = new Date();
  return {
    version: '2.0',
    routeKey,
    rawPath: url.pathname,
    rawQueryString: url.search.slice(1),
    headers,
    ...(url.search === '' ? {} : { queryStringParameters }),
    pathParameters,
    requestContext: {
      requestId: randomUUID(),
      routeKey,
      stage: '$default',
      http: {
        method: request.method,
        path: url.pathname,
        protocol: 'HTTP/1.1',
        sourceIp,
        userAgent: headers['user-agent'] ?? '',
      },
      time: time.toUTCString(),
      timeEpoch: time.getTime(),
    },
    ...(body.length === 0 ? {} : { body: body.toString('base64') }),
    isBase64Encoded: body.length > 0,
  };
}

function reply(response: ServerResponse, result: APIGatewayProxyStructuredResultV2): void {
  const body = Buffer.from(result.body ?? '', result.isBase64Encoded ? 'base64' : 'utf8');
  const headers = Object.entries(result.headers ?? {}).map(([name, value]) => [name, String(value)]);
  response.writeHead(result.statusCode ?? 200, { ...Object.fromEntries(headers), 'content-length': body.length });
  response.end(body);
}
