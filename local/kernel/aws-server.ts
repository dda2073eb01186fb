import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { AwsError, type AwsService } from './aws-service.ts';
import { type Address, type Answer, type HttpServer, readBody, startHttpServer } from './http-server.ts';
import { receiveSigned } from './signed-request.ts';
import type { SigV4Options } from './sigv4.ts';
import { xmlElement } from './xml.ts';

export interface AwsServerOptions extends SigV4Options, Address {
  /** By the name in the credential scope: `s3`, `rds-data`, `secretsmanager`, `sqs`, … */
  readonly services: Readonly<Record<string, AwsService>>;
  /** Told of failures that became a 500. */
  readonly onError?: (error: Error) => void;
}

export interface AwsServer extends HttpServer {
  /** What `AWS_ENDPOINT_URL` is set to. */
  readonly url: string;
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
 */
export async function startAwsServer(options: AwsServerOptions): Promise<AwsServer> {
  const { host, onError = () => {} } = options;
  const server = await startHttpServer(options, (request) => serve(request, options, onError), onError);
  return { ...server, url: `http://${host}:${server.port}` };
}

async function serve(
  request: IncomingMessage,
  options: AwsServerOptions,
  onError: (error: Error) => void,
): Promise<Answer> {
  const isS3 = !/\/(?!s3\/)[a-z0-9-]+\/aws4_request/.test(`${request.headers.authorization} ${request.url}`);
  const answer = await answerOf(request, isS3, options).catch((error: Error) => {
    if (!(error instanceof AwsError) && !request.errored) onError(error);
    return errorAnswer(error, isS3);
  });
  const id = randomUUID();
  // Clients correct a skewed clock by the date, so it must come from the clock that judges them.
  const common = { date: new Date(options.clock()).toUTCString(), 'x-amzn-requestid': id, 'x-amz-request-id': id };
  return { ...answer, headers: { ...common, ...answer.headers } };
}

async function answerOf(request: IncomingMessage, isS3: boolean, options: AwsServerOptions): Promise<Answer> {
  const buffered = isS3 ? undefined : await bufferBody(request);
  const { service: name, ...received } = await receiveSigned(request, options, buffered);
  const service = options.services[name];
  if (service) return service.handle(received);
  const known = Object.keys(options.services).sort().join(', ');
  throw new AwsError('UnknownService', 404, `There is no local endpoint for '${name}'; there are ${known}.`);
}

async function bufferBody(request: IncomingMessage): Promise<Buffer> {
  const body = await readBody(request, MAX_BUFFERED_BYTES);
  if (body) return body;
  throw new AwsError('RequestEntityTooLarge', 413, `The body has more than ${MAX_BUFFERED_BYTES} bytes.`);
}

function errorAnswer(error: Error, isS3: boolean): Answer {
  const { code, status, message, details } =
    error instanceof AwsError
      ? error
      : new AwsError(
          isS3 ? 'InternalError' : 'InternalFailure',
          500,
          'The local endpoint failed; logs/runtime.log says why.',
        );
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
