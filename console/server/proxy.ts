import { randomBytes } from 'node:crypto';
import { type ClientRequest, type IncomingMessage, request as plainRequest, type ServerResponse } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import type { Fetch } from '../../api/client.ts';
import type { StartedUpload } from '../../api/releases.ts';
import { send, sendProblem } from './answer.ts';

/** The largest body that API Gateway accepts (HTTP API quotas). */
const MAX_BODY_BYTES = 10 * 1024 * 1024;
/** The most uploads that are started and not sent yet; a further one replaces the oldest. */
const MAX_TICKETS = 100;
const SENT_HEADERS = ['accept', 'content-type', 'if-match'];
const ANSWERED_HEADERS = ['content-type', 'etag'];

/**
 * Forwards calls to the API, signed, and uploads to S3, so that the page only calls the console. The page never gets a
 * presigned URL, but a ticket for one PUT to the URL that the API returned.
 */
export class ApiProxy {
  readonly #apiUrl: string;
  readonly #fetch: Fetch;
  readonly #tickets = new Map<string, StartedUpload>();

  constructor(apiUrl: string, fetch: Fetch) {
    this.#apiUrl = apiUrl;
    this.#fetch = fetch;
  }

  /** Forwards a call to the API. @param path with its query, as the browser sent it */
  async call(request: IncomingMessage, path: string, response: ServerResponse): Promise<void> {
    const { method = 'GET' } = request;
    const body = await readLimited(request, MAX_BODY_BYTES);
    if (body === undefined) {
      return sendProblem(response, 413, 'Too large', `A call takes at most ${MAX_BODY_BYTES} bytes.`);
    }
    const headers = pick(SENT_HEADERS, (name) => request.headers[name]);
    let answer: Response;
    try {
      answer = await this.#fetch(this.#apiUrl + path, { method, headers, ...(body === '' ? {} : { body }) });
    } catch (error) {
      return sendProblem(response, 502, 'The API cannot be reached', `${this.#apiUrl}: ${describe(error)}`);
    }
    const answered = await answer.text();
    const isUpload = method === 'POST' && path === '/v1/uploads' && answer.status === 201;
    const shown = isUpload ? this.#withTicket(JSON.parse(answered) as StartedUpload) : answered;
    send(
      response,
      answer.status,
      pick(ANSWERED_HEADERS, (name) => answer.headers.get(name)),
      shown,
    );
  }

  /** Forwards the body of a PUT to S3 as a stream, with the length that S3 requires. */
  async upload(request: IncomingMessage, ticket: string, response: ServerResponse): Promise<void> {
    const upload = this.#tickets.get(ticket);
    if (upload === undefined) return sendProblem(response, 404, 'No such upload', 'Begin the upload again.');
    const length = request.headers['content-length'];
    if (length === undefined) return sendProblem(response, 411, 'Length required', 'An upload states its length.');
    this.#tickets.delete(ticket);
    try {
      const answer = await put(upload, request, length);
      if (answer.status === 200) return send(response, 204, {});
      sendProblem(response, 502, 'S3 refused the upload', `S3 answered ${answer.status} ${answer.code}.`);
    } catch (error) {
      sendProblem(response, 502, 'S3 cannot be reached', describe(error));
    }
  }

  #withTicket(upload: StartedUpload): string {
    const ticket = randomBytes(16).toString('base64url');
    this.#tickets.set(ticket, upload);
    const [oldest] = this.#tickets.keys();
    if (this.#tickets.size > MAX_TICKETS && oldest !== undefined) this.#tickets.delete(oldest);
    const shown: StartedUpload = { ...upload, upload_url: `/upload/${ticket}`, headers: {} };
    return JSON.stringify(shown);
  }
}

/** The body as text; undefined if it is longer. The length is counted, because a chunked body does not state one. */
async function readLimited(request: IncomingMessage, maxBytes: number): Promise<string | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return undefined;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function put(
  { upload_url: url, headers }: StartedUpload,
  body: IncomingMessage,
  length: string,
): Promise<{ status: number; code: string }> {
  const open = new URL(url).protocol === 'https:' ? tlsRequest : plainRequest;
  const sent = open(url, { method: 'PUT', headers: { ...headers, 'content-length': length } });
  const answered = answerOf(sent);
  // S3 may refuse before it has read the whole body; its answer is more useful than the broken pipe.
  const [answer] = await Promise.all([answered, pipeline(body, sent).catch(() => answered)]);
  const code = /<Code>(\w+)<\/Code>/.exec(await text(answer))?.[1] ?? '';
  return { status: answer.statusCode ?? 0, code };
}

function answerOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => request.once('response', resolve).once('error', reject));
}

function pick(names: readonly string[], read: (name: string) => unknown): Record<string, string> {
  const pairs = names.map((name) => [name, read(name)] as const);
  return Object.fromEntries(pairs.filter((pair): pair is readonly [string, string] => typeof pair[1] === 'string'));
}

/** The message of the cause, because that of the error is only `fetch failed`. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
