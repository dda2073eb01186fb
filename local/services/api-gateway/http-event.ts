import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import type { Answer, Identity } from '../../kernel/index.ts';
import { splitOnce } from '../../kernel/index.ts';

/** Bodies of these content types are passed to a function as text, others as base64. */
const TEXT = /^(text\/|application\/(json|javascript|xml|x-www-form-urlencoded))/;

export interface MatchedRequest {
  readonly request: IncomingMessage;
  readonly body: Buffer;
  readonly routeKey: string;
  readonly pathParameters: Readonly<Record<string, string>>;
  /** The signer, on routes that require a signature. */
  readonly identity: Identity | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/**
 * The event for a request, in payload format 2.0.
 * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
 */
export function toEvent({ request, body, routeKey, pathParameters, identity, now }: MatchedRequest): object {
  const [sentPath, rawQueryString] = splitOnce(request.url ?? '/', '?');
  const rawPath = decodePath(sentPath);
  const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
  const sourceIp = request.socket.remoteAddress ?? '';
  const userAgent = headers['user-agent'] ?? '';
  return {
    version: '2.0',
    routeKey,
    rawPath,
    rawQueryString,
    headers,
    ...(rawQueryString === '' ? {} : { queryStringParameters: joinValues(new URLSearchParams(rawQueryString)) }),
    pathParameters,
    requestContext: {
      requestId: randomUUID(),
      routeKey,
      stage: '$default',
      ...(identity === undefined ? {} : { authorizer: { iam: { userArn: identity.arn } } }),
      http: { method: request.method, path: rawPath, protocol: 'HTTP/1.1', sourceIp, userAgent },
      time: new Date(now).toUTCString(),
      timeEpoch: now,
    },
    ...bodyOf(body, headers['content-type'] ?? ''),
  };
}

/**
 * The path as an HTTP API hands it over: percent-decoded, once. Text that is not valid percent-encoding stays.
 * @see https://github.com/aws-powertools/powertools-lambda-python/issues/1098 (a captured event)
 */
function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** Query parameters by name. Several values of one name are joined by commas. */
function joinValues(query: URLSearchParams): Record<string, string> {
  return Object.fromEntries([...new Set(query.keys())].map((name) => [name, query.getAll(name).join(',')]));
}

function bodyOf(body: Buffer, contentType: string): { body?: string; isBase64Encoded: boolean } {
  if (body.length === 0) return { isBase64Encoded: false };
  if (TEXT.test(contentType)) return { body: body.toString('utf8'), isBase64Encoded: false };
  return { body: body.toString('base64'), isBase64Encoded: true };
}

/** The HTTP answer for the result of a function. A result without a status code is the JSON body. */
export function toAnswer(result: unknown): Answer {
  const structured = typeof result === 'object' && result !== null && 'statusCode' in result;
  if (!structured) {
    return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(result ?? null) };
  }
  const { statusCode = 200, headers = {}, body = '', isBase64Encoded } = result as APIGatewayProxyStructuredResultV2;
  const texts = Object.entries(headers).map(([name, value]) => [name, String(value)]);
  const bytes = Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8');
  return { status: statusCode, headers: Object.fromEntries(texts), body: bytes };
}
