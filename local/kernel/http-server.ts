import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | Readable;
}

export interface HttpServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Host and port that a server listens on. */
export interface Address {
  readonly host: string;
  /** 0 chooses a free port. */
  readonly port: number;
}

/** @returns the port @throws the system's error if the port is in use (`EADDRINUSE`) */
export async function listen(server: Server, { host, port }: Address): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  return (server.address() as AddressInfo).port;
}

/**
 * Answers every request with the result of `handle`.
 * @param onError called for each error of `handle`, and for each answer that could not be sent completely
 */
export async function startHttpServer(
  address: Address,
  handle: (request: IncomingMessage) => Promise<Answer>,
  onError: (error: Error) => void,
): Promise<HttpServer> {
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, async (request, response) => {
    try {
      const answer = await handle(request);
      // An unread body is drained, because a client may read the answer only after it has sent everything.
      if (!request.readableEnded) request.resume();
      await send(request, response, answer);
    } catch (error) {
      onError(error as Error);
      response.destroy();
    }
  });
  const port = await listen(server, address);
  return {
    port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** The whole body; undefined if it has more than `maxBytes`. */
export async function readBody(request: Readable, maxBytes: number): Promise<Buffer | undefined> {
  const pieces: Buffer[] = [];
  let size = 0;
  // Leaving the loop early must not destroy the request, which still has to be answered.
  for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > maxBytes) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

async function send(request: IncomingMessage, response: ServerResponse, answer: Answer): Promise<void> {
  const { status, headers, body = '' } = answer;
  const streamed = body instanceof Readable;
  const length = streamed || status === 204 ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  response.writeHead(status, { ...length, ...headers });
  if (!streamed) {
    response.end(request.method === 'HEAD' ? undefined : body);
    return;
  }
  await pipeline(body, response).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  });
}
