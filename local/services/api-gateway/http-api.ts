import type { IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import type { SigV4Options } from '../../kernel/index.ts';
import {
  type Address,
  type Answer,
  AwsError,
  type HttpServer,
  type Identity,
  readBody,
  receiveSigned,
  splitOnce,
  startHttpServer,
} from '../../kernel/index.ts';
import { toAnswer, toEvent } from './http-event.ts';
import { compileRoute, type RoutePattern } from './http-routes.ts';

export interface HttpRoute {
  /** Method and path, such as `GET /d/{token}`. */
  readonly routeKey: string;
  /** `arn:aws:execute-api:{region}:{account}:{api}/$default` for routes that require a signature. */
  readonly signedArn?: string | undefined;
  invoke(event: object): Promise<unknown>;
}

export interface HttpApiOptions extends SigV4Options, Address {
  readonly log: (line: string) => void;
}

/** Objects that are served from the origin of the API too, under `/{bucket}/`. */
export interface ServedBucket {
  readonly bucket: string;
  answer(request: IncomingMessage): Promise<Answer>;
}

export interface HttpApi extends HttpServer {
  /**
   * Sets the routes. Until then every path is unknown, because the server listens before the templates are read.
   * @param served on AWS the link and the image have different host names; here they must share one origin, because
   * boards keep the connection, or the Host header, across a redirect to another port of the same host
   */
  serve(routes: readonly HttpRoute[], served?: ServedBucket): void;
}

type Route = HttpRoute & RoutePattern;

/** The limit of API Gateway (HTTP API quotas). */
const MAX_BODY_BYTES = 10 * 1024 * 1024;

/** Starts an HTTP API with payload format 2.0, which invokes the function of a route with an event for each request. */
export async function startHttpApi(options: HttpApiOptions): Promise<HttpApi> {
  let routes: Route[] = [];
  let objects: ServedBucket | undefined;
  // The path is not logged, because it may contain a token.
  const onError = (error: Error) => options.log(`http: ${error.message}`);
  const handle = (request: IncomingMessage) => {
    if (objects !== undefined && request.url?.startsWith(`/${objects.bucket}/`)) {
      // The signature covers the Host header. Some clients leave the port out; on AWS it is the default one.
      if (request.headers.host === options.host) request.headers.host += `:${request.socket.localPort}`;
      return objects.answer(request);
    }
    return answer(request, routes, options).catch((error: Error) => {
      onError(error);
      return message(500, 'Internal Server Error');
    });
  };
  const server = await startHttpServer(options, handle, onError);
  return {
    ...server,
    serve(newRoutes, served) {
      objects = served;
      routes = newRoutes
        .map((route) => ({ ...route, ...compileRoute(route.routeKey) }))
        .sort((a, b) => (a.rank < b.rank ? -1 : 1));
    },
  };
}

async function answer(request: IncomingMessage, routes: readonly Route[], options: HttpApiOptions): Promise<Answer> {
  const [path] = splitOnce(request.url ?? '/', '?');
  const [route, pathParameters] = findRoute(routes, request.method ?? '', path) ?? [];
  if (route === undefined || pathParameters === undefined) return message(404, 'Not Found');
  const body = await readBody(request, MAX_BODY_BYTES);
  if (body === undefined) return message(413, 'Request Entity Too Large');
  const identity = route.signedArn === undefined ? undefined : await signer(request, body, route.signedArn, options);
  if (identity === null) return message(403, 'Forbidden');
  const { routeKey } = route;
  const event = toEvent({ request, body, routeKey, pathParameters, identity, now: options.clock() });
  return toAnswer(await route.invoke(event));
}

const message = (status: number, text: string): Answer => ({ ...toAnswer({ message: text }), status });

function findRoute(routes: readonly Route[], method: string, path: string) {
  for (const route of routes) {
    const pathParameters = route.match(method, path);
    if (pathParameters !== undefined) return [route, pathParameters] as const;
  }
  return undefined;
}

/** The signer of a request, or null if there is none who may call the route. */
async function signer(
  request: IncomingMessage,
  sent: Buffer,
  signedArn: string,
  options: SigV4Options,
): Promise<Identity | null> {
  try {
    const { service, identity, method, path, body } = await receiveSigned(request, options, sent);
    await buffer(body);
    const mayCall = service === 'execute-api' && identity.allows('execute-api:Invoke', `${signedArn}/${method}${path}`);
    return mayCall ? identity : null;
  } catch (error) {
    if (error instanceof AwsError) return null;
    throw error;
  }
}
