import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Fetch } from '../../api/client.ts';
import { checkLoopback, Gate } from './admission.ts';
import { send, sendNoSession, sendProblem } from './answer.ts';
import { ApiProxy } from './proxy.ts';
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
}

export interface RunningConsole {
  /** The address for the operator to open; it contains the token of this run. */
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves the console to browsers on this machine, and forwards their calls with the operator's credentials, which never
 * reach the browser. There is no login: the operator who started it has the address with the token.
 * @throws Error when the port is in use, or the host is not a loopback address
 */
export async function startConsole(options: ConsoleOptions): Promise<RunningConsole> {
  const { apiUrl, fetch, port, host = '127.0.0.1' } = options;
  checkLoopback(host);
  const files = readStaticFiles(options.files);
  const proxy = new ApiProxy(apiUrl, fetch);
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  const { port: opened } = server.address() as AddressInfo;
  const gate = new Gate(opened);
  server.on('request', (request, response) => {
    answer(request, response, { gate, files, proxy }).catch((error: Error) => {
      if (response.headersSent) response.destroy();
      else sendProblem(response, 500, 'The console failed', error.message);
    });
  });
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${opened}/?token=${gate.token}`,
    port: opened,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

interface Parts {
  readonly gate: Gate;
  readonly files: ReadonlyMap<string, StaticFile>;
  readonly proxy: ApiProxy;
}

async function answer(request: IncomingMessage, response: ServerResponse, parts: Parts): Promise<void> {
  const admission = parts.gate.admit(request);
  if (admission.kind === 'refused') {
    return send(response, 403, { 'content-type': 'text/plain; charset=utf-8' }, `${admission.reason}\n`);
  }
  if (admission.kind === 'no-session') return sendNoSession(response, admission.isOfEarlierRun);
  if (admission.kind === 'signed-in') {
    return send(response, 303, { location: '/', 'set-cookie': admission.setCookie });
  }
  // The path is resolved as `fetch` will resolve it, so that `/v1/../x` does not pass as a path of the API.
  const { pathname, search } = new URL(request.url ?? '/', 'http://console');
  if (pathname.startsWith('/v1/')) return parts.proxy.call(request, pathname + search, response);
  if (pathname.startsWith('/upload/') && request.method === 'PUT') {
    return parts.proxy.upload(request, pathname.slice('/upload/'.length), response);
  }
  serveFile(request, response, pathname, parts.files);
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
