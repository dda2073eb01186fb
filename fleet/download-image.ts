import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { DeviceHttpClient, type HttpClientKind } from './http-client.ts';
import type { OpenImage } from './install-image.ts';
import { OtaFailure } from './ota-failure.ts';
import { type ReceivedManifest, receivedManifest } from './verify-manifest.ts';

const MAX_REDIRECTS = 10;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** Options of image downloads. */
export interface DownloadOptions {
  /** @default 'arduino' */
  readonly httpClient?: HttpClientKind | undefined;
  /** PEM of the CA for https links. Without it servers are not verified, as in some firmware generations. */
  readonly imageCa?: string | undefined;
  /** Timeout of a silent server, in real milliseconds. */
  readonly socketTimeoutMs: number;
}

/**
 * Creates a function that downloads like field firmware: one GET over http or https (TLS 1.2) without Range, at most 10
 * redirects. It accepts only status 200 with a `Content-Length` above 0.
 */
export function imageDownloader(options: DownloadOptions): OpenImage {
  return async (url, signal) => {
    const client = new DeviceHttpClient(options);
    try {
      const { contentLength, manifest, response } = await follow(client, imageUrl(url), options, signal);
      return { contentLength, manifest, body: readBody(response, signal, () => client.close()) };
    } catch (error) {
      client.close();
      throw error;
    }
  };
}

async function follow(client: DeviceHttpClient, url: URL, options: DownloadOptions, signal: AbortSignal) {
  let target = url;
  let manifest: ReceivedManifest | undefined;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
    const response = await get(target, client, options, signal);
    manifest ??= receivedManifest(response.message.headers);
    const location = REDIRECTS.has(response.message.statusCode ?? 0) ? response.message.headers.location : undefined;
    if (location === undefined) return { contentLength: acceptedLength(response), manifest, response };
    await skipBody(response, signal);
    target = imageUrl(location, target.href);
  }
  throw new OtaFailure(2, `more than ${MAX_REDIRECTS} redirects`);
}

/** Reads to the end of the body, after which the connection can be used again. */
async function skipBody({ message, explain }: Response, signal: AbortSignal): Promise<void> {
  try {
    await once(message.resume(), 'end');
  } catch (error) {
    signal.throwIfAborted();
    throw explain(error);
  }
}

function imageUrl(text: string, base?: string): URL {
  const url = URL.canParse(text, base) ? new URL(text, base) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  // A valid link is a secret, so the reason does not contain it.
  throw new OtaFailure(6, `the URL (${text.length} characters) is none for http or https`);
}

interface Response {
  readonly message: IncomingMessage;
  /** The failure for an early end of the connection. */
  readonly explain: (error: unknown) => OtaFailure;
}

async function get(
  url: URL,
  client: DeviceHttpClient,
  options: DownloadOptions,
  signal: AbortSignal,
): Promise<Response> {
  const request = client.open(url, signal);
  let timedOut = false;
  request.setTimeout(options.socketTimeoutMs, () => {
    timedOut = true;
    request.destroy();
  });
  // Without a listener, an error after the start of the response would end the process.
  request.on('error', () => {});
  const explain = (error: unknown) =>
    timedOut
      ? new OtaFailure(7, `${url.host} said nothing for ${options.socketTimeoutMs} ms`)
      : new OtaFailure(2, `${url.host}: ${error instanceof Error ? error.message : String(error)}`);
  try {
    const [message] = (await once(request.end(), 'response')) as [IncomingMessage];
    return { message, explain };
  } catch (error) {
    signal.throwIfAborted();
    throw explain(error);
  }
}

function acceptedLength({ message: { statusCode, headers } }: Response): number {
  const contentLength = Number(headers['content-length'] ?? 0);
  if (statusCode !== 200) throw new OtaFailure(2, `the server answered ${statusCode}, expected 200`);
  if (contentLength > 0) return contentLength;
  throw new OtaFailure(2, 'the server sent no Content-Length above 0', 'Invalid content length');
}

async function* readBody(
  { message, explain }: Response,
  signal: AbortSignal,
  close: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    yield* message;
  } catch (error) {
    signal.throwIfAborted();
    throw explain(error);
  } finally {
    close();
  }
}
