import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Fetch } from '../../api/client.ts';
import { checkLoopback, Gate } from './admission.ts';
import { send, sendNoSession, sendProblem } from './answer.ts';
import { ApiProxy } from './proxy.ts';
import { Sessions } from './sessions.ts';
import { readStaticFiles, type StaticFile } from './static-files.ts';

export interface ConsoleOptions {
  /** Folder of the built pages. */
  readonly files: string;
  /** URL of the operator API, without a trailing slash. */
  readonly apiUrl: string;
  /** Signs the calls to the API with the operator's credentials. */
  readonly fetch: Fetch;
  /** 0 for any free port. */
  readonly port: number;
  /** A loopback address. @default 127.0.0.1 */
  readonly host?: string;
  /** Milliseconds since the epoch, for the expiry of sessions. @default Date.now */
  readonly now?: () => number;
}

export interface RunningConsole {
  /** The address for the operator to open; its fragment has the key of this run, which browsers do not send. */
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves the console to browsers on this machine, and forwards their calls with the operator's credentials, which never
 * reach the browser. There is no login: the operator who started it has the address with the key, which opens sessions.
 * @throws Error when the port is in use, or the host is not a loopback address
 */
export async function startConsole(options: ConsoleOptions): Promise<RunningConsole> {
  const { apiUrl, fetch, port, host = '127.0.0.1', now = Date.now } = options;
  checkLoopback(host);
  const files = readStaticFiles(options.files);
  const proxy = new ApiProxy(apiUrl, fetch);
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  const { port: opened } = server.address() as AddressInfo;
  const gate = new Gate(opened);
  const sessions = new Sessions(now);
  server.on('request', (request, response) => {
    answer(request, response, { gate, sessions, files, proxy }).catch((error: Error) => {
      if (response.headersSent) response.destroy();
      else sendProblem(response, 500, 'The console failed', error.message);
    });
  });
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${opened}/#key=${sessions.key}`,
    port: opened,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

interface Parts {
  readonly gate: Gate;
  readonly sessions: Sessions;
  readonly files: ReadonlyMap<string, StaticFile>;
  readonly proxy: ApiProxy;
}

async function answer(request: IncomingMessage, response: ServerResponse, parts: Parts): Promise<void> {
  const refusal = parts.gate.refuse(request);
  if (refusal !== undefined) {
    return send(response, 403, { 'content-type': 'text/plain; charset=utf-8' }, `${refusal}\n`);
  }
  // The path is resolved as `fetch` will resolve it, so that `/v1/../x` does not pass as a path of the API.
  const { pathname, search } = new URL(request.url ?? '/', 'http://console');
  if (pathname === '/session' && request.method === 'POST') return openSession(request, response, parts.sessions);
  const isCall = pathname.startsWith('/v1/');
  const isUpload = pathname.startsWith('/upload/') && request.method === 'PUT';
  // The pages themselves are public: they are the same for everybody and contain no data.
  if (!isCall && !isUpload) return serveFile(request, response, pathname, parts.files);
  if (!parts.sessions.admit(request.headers.authorization)) return sendNoSession(response);
  if (isCall) return parts.proxy.call(request, pathname + search, response);
  return parts.proxy.upload(request, pathname.slice('/upload/'.length), response);
}

/** Exchanges the key of this run, which the page took from its address, for the token of a session. */
function openSession(request: IncomingMessage, response: ServerResponse, sessions: Sessions): void {
  const token = sessions.open(String(request.headers['x-paku-ota-key'] ?? ''));
  if (token === undefined) sendNoSession(response);
  else send(response, 201, { 'content-type': 'application/json' }, JSON.stringify({ token }));
}

/** Serves a file, or for any other path the page, whose script shows what belongs to the address. */
function serveFile({ method }: IncomingMessage, response: ServerResponse, path: string, files: Parts['files']): void {
  const page = path.startsWith('/assets/') ? undefined : files.get('/index.html');
  const file = files.get(path) ?? page;
  if (method !== 'GET' && method !== 'HEAD') {
    sendProblem(response, 405, 'Method not allowed', `${method} ${path} is nothing of the console's.`);
  } else if (file === undefined) {
    sendProblem(response, 404, 'Not found', `There is no file ${path}.`);
  } else {
    send(response, 200, file.headers, file.body);
  }
}
