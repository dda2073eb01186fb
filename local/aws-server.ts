import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AwsError } from './aws-error.ts';
import type { AwsResponse, AwsService } from './aws-service.ts';
import { xmlElement } from './s3-xml.ts';
import { type SigV4Options, type VerifiedSignature, verifySigV4 } from './sigv4.ts';
import { verifiedBody } from './sigv4-body.ts';
import { splitOnce } from './text.ts';

export interface AwsServerOptions extends SigV4Options {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** By the name in the credential scope: `s3`, `rds-data`, `secretsmanager`, `sqs`, … */
  readonly services: Readonly<Record<string, AwsService>>;
  /** Told of failures that became a 500. */
  readonly onError?: (error: unknown) => void;
}

export interface AwsServer {
  /** What `AWS_ENDPOINT_URL` is set to. */
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Above every service's own limit; those answer with their own error. */
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;

/** What each of S3's authentication errors is called by the JSON services. */
const JSON_CODES: Readonly<Record<string, string>> = {
  AccessDenied: 'MissingAuthenticationTokenException',
  InvalidAccessKeyId: 'UnrecognizedClientException',
  InvalidToken: 'UnrecognizedClientException',
  SignatureDoesNotMatch: 'InvalidSignatureException',
  RequestTimeTooSkewed: 'InvalidSignatureException',
  XAmzContentSHA256Mismatch: 'InvalidSignatureException',
  AuthorizationHeaderMalformed: 'IncompleteSignatureException',
};

/**
 * Starts the one HTTP server that stands in for every AWS endpoint. Nothing reaches a service before its signature was
 * verified; the service is the one that the signature's credential scope names.
 *
 * @throws the system's error when the port is taken (`EADDRINUSE`)
 */
export async function startAwsServer(options: AwsServerOptions): Promise<AwsServer> {
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, (request, response) => {
    serve(request, response, options).catch((error: unknown) => {
      options.onError?.(error);
      response.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(options.port, options.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${options.host}:${port}`,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function serve(request: IncomingMessage, response: ServerResponse, options: AwsServerOptions): Promise<void> {
  const isS3 = !/\/(?!s3\/)[a-z0-9-]+\/aws4_request/.test(`${request.headers.authorization} ${request.url}`);
  const answer = await answerOf(request, isS3, options).catch((error: unknown) => {
    if (!(error instanceof AwsError) && !request.errored) options.onError?.(error);
    return errorAnswer(error, isS3);
  });
  // What the service left unread is drained, so that a client which is still sending gets to read the answer.
  if (!request.readableEnded) request.resume();
  await send(request, response, answer, options.clock());
}

async function answerOf(request: IncomingMessage, isS3: boolean, options: AwsServerOptions): Promise<AwsResponse> {
  const { method = 'GET', url = '/', headers } = request;
  const [path, rawQuery] = splitOnce(url, '?');
  const buffered = isS3 ? undefined : await readAll(request);
  const signed = { method, path, rawQuery, headers, ...(buffered && { bodySha256: sha256(buffered) }) };
  const signature = verifySigV4(signed, options);
  const service = options.services[signature.service];
  if (!service) throw noSuchService(signature, options);
  const body = verifiedBody(buffered ? Readable.from([buffered]) : request, headers, signature);
  return service.handle({
    method,
    path,
    query: new URLSearchParams(rawQuery),
    headers,
    body,
    identity: signature.identity,
  });
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  // Leaving the loop early must not destroy the request, or its error could not be answered.
  for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > MAX_BUFFERED_BYTES) {
      throw new AwsError('RequestEntityTooLarge', 413, `The body has more than ${MAX_BUFFERED_BYTES} bytes.`);
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

function noSuchService({ service }: VerifiedSignature, { services }: AwsServerOptions): AwsError {
  const known = Object.keys(services).sort().join(', ');
  return new AwsError('UnknownService', 404, `There is no local endpoint for '${service}'; there are ${known}.`);
}

function errorAnswer(error: unknown, isS3: boolean): AwsResponse {
  const { code, status, message, details } =
    error instanceof AwsError
      ? error
      : new AwsError(isS3 ? 'InternalError' : 'InternalFailure', 500, 'The local endpoint failed; its log says why.');
  if (isS3) {
    const body = xmlElement('Error', { Code: code, Message: message, ...details, RequestId: randomUUID() });
    return { status, headers: { 'content-type': 'application/xml' }, body };
  }
  const type = JSON_CODES[code] ?? code;
  return {
    status,
    headers: { 'content-type': 'application/json', 'x-amzn-errortype': type },
    body: JSON.stringify({ __type: type, message }),
  };
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body = '' }: AwsResponse,
  now: number,
): Promise<void> {
  const id = randomUUID();
  const length = body instanceof Readable ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  // Clients correct a skewed clock by this header, so it must come from the clock that judges them.
  const common = { date: new Date(now).toUTCString(), 'x-amzn-requestid': id, 'x-amz-request-id': id };
  response.writeHead(status, { ...common, ...(status === 204 || status === 304 ? {} : length), ...headers });
  if (request.method === 'HEAD' || !(body instanceof Readable)) {
    if (body instanceof Readable) body.destroy();
    response.end(request.method === 'HEAD' ? undefined : body);
  } else {
    await pipeline(body, response).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
    });
  }
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
