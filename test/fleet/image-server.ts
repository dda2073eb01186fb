import { EventEmitter, once } from 'node:events';
import http, { type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TestIdentity } from '../support/certificates.ts';

/** An HTTP or HTTPS server whose answers a test sets for each path. */
export class ImageServer {
  readonly requests: IncomingMessage[] = [];
  private readonly arrivals = new EventEmitter();
  private readonly answers = new Map<string, (response: ServerResponse) => void>();

  private constructor(
    private readonly server: http.Server | https.Server,
    private readonly scheme: string,
  ) {}

  static async start(identity?: TestIdentity): Promise<ImageServer> {
    const answer: RequestListener = (request, response) => host.answer(request, response);
    const server = identity ? https.createServer(identity, answer) : http.createServer(answer);
    const host = new ImageServer(server, identity ? 'https' : 'http');
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return host;
  }

  get origin(): string {
    return `${this.scheme}://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Sets the answer of a path. @returns its URL */
  on(path: string, answer: (response: ServerResponse) => void): string {
    this.answers.set(path, answer);
    return `${this.origin}${path}`;
  }

  serve(path: string, image: Uint8Array): string {
    return this.on(path, (response) => response.writeHead(200, { 'content-length': image.length }).end(image));
  }

  redirect(path: string, location: string): string {
    return this.on(path, (response) => response.writeHead(302, { location }).end());
  }

  /** Serves an image, but sends only its beginning until the test calls `finish`. */
  stall(path: string, image: Buffer): { url: string; begun: () => Promise<void>; finish: () => void } {
    let rest = () => {};
    const before = this.requests.length;
    const url = this.on(path, (response) => {
      response.writeHead(200, { 'content-length': image.length }).write(image.subarray(0, 1000));
      rest = () => response.end(image.subarray(1000));
    });
    const begun = async () => {
      while (!this.requests.slice(before).some((request) => request.url === path)) await once(this.arrivals, 'request');
    };
    return { url, begun, finish: () => rest() };
  }

  async stop(): Promise<void> {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    this.requests.push(request);
    const answer = this.answers.get(request.url ?? '');
    if (answer) answer(response);
    else response.writeHead(404).end();
    this.arrivals.emit('request');
  }
}
