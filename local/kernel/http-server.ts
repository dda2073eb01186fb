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

/** Where a server listens. */
export interface Address {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

/** @returns the port @throws the system's error when it is taken (`EADDRINUSE`) */
export async function listen(server: Server, { host, port }: Address): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  return (server.address() as AddressInfo).port;
}

/**
 * Answers every request by `handle`.
 * @param onError told of what `handle` throws, and of answers that could not be sent to their end
 */
export async function startHttpServer(
  address: Address,
  handle: (request: IncomingMessage) => Promise<Answer>,
  onError: (error: Error) => void,
): Promise<HttpServer> {
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, async (request, response) => {
    try {
      const answer = await handle(request);
      // What was left unread is drained, so that a client which is still sending gets to read the answer.
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

/** The whole body; undefined above `maxBytes`. */
export async function readBody(request: Readable, maxBytes: number): Promise<Buffer | undefined> {
  const pieces: Buffer[] = [];
  let size = 0;
  // Leaving the loop early must not destroy the request, or its error could not be answered.
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
