import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { AwsError, type AwsService } from './aws-service.ts';
import { type Address, type Answer, type HttpServer, readBody, startHttpServer } from './http-server.ts';
import { receiveSigned } from './signed-request.ts';
import type { SigV4Options } from './sigv4.ts';
import { xmlElement } from './xml.ts';

export interface AwsServerOptions extends SigV4Options, Address {
  /** The services by their names in the credential scope: `s3`, `rds-data`, `secretsmanager`, `sqs`, … */
  readonly services: Readonly<Record<string, AwsService>>;
  /** Called for each failure that is answered with 500. */
  readonly onError?: (error: Error) => void;
}

export interface AwsServer extends HttpServer {
  /** The value of `AWS_ENDPOINT_URL`. */
  readonly url: string;
  /** Answers a request that arrived at another server. */
  answer(request: IncomingMessage): Promise<Answer>;
}

/** Above the limit of every service, because each service answers with its own error. */
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;

/** The names that the JSON services give S3's authentication errors. */
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
 * Starts the HTTP server that replaces every AWS endpoint. It verifies the signature of each request before it calls the
 * service that the credential scope of the signature names.
 */
export async function startAwsServer(options: AwsServerOptions): Promise<AwsServer> {
  const { host, onError = () => {} } = options;
  const answer = (request: IncomingMessage) => serve(request, options, onError);
  const server = await startHttpServer(options, answer, onError);
  return { ...server, url: `http://${host}:${server.port}`, answer };
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
  // Clients correct their clock by the date header, so it must come from the clock that checks their signatures.
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
