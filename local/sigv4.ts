import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { AwsError } from './aws-error.ts';
import type { Identity } from './aws-service.ts';
import type { Identities } from './identities.ts';
import { canonicalRequest, headerText, parseQuery, type Query, type SignedRequest } from './sigv4-canonical.ts';
import { splitOnce } from './text.ts';

export type { SignedRequest } from './sigv4-canonical.ts';

export interface SigV4Options {
  readonly identities: Identities;
  readonly region: string;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

export interface VerifiedSignature {
  readonly identity: Identity;
  /** The service of the credential scope, such as `s3`. */
  readonly service: string;
  /** Hex SHA-256 that the body must have, or one of the markers such as `UNSIGNED-PAYLOAD`. */
  readonly payload: string;
  readonly chain: SigningChain;
}

/** What signatures of single chunks continue from. */
export interface SigningChain {
  readonly seedSignature: string;
  /** `timestamp \n scope`, the middle of every string to sign. */
  readonly context: string;
  sign(stringToSign: string): string;
}

export const EMPTY_SHA256 = createHash('sha256').digest('hex');
const ALGORITHM = 'AWS4-HMAC-SHA256';
const MAX_SKEW_MS = 15 * 60_000;
const MAX_PRESIGNED_SECONDS = 7 * 24 * 3600;

/** The signature's parameters, whether they came in the `Authorization` header or in the query. */
interface Claim {
  readonly presigned: boolean;
  readonly accessKeyId: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly timestamp: string;
  readonly expiresSeconds: number | undefined;
  readonly sessionToken: string | undefined;
}

/**
 * Checks an AWS Signature Version 4, in the `Authorization` header or in a presigned query.
 *
 * The body itself is not looked at: compare it with `payload` of the result.
 *
 * @throws AwsError with S3's code (`SignatureDoesNotMatch`, `InvalidAccessKeyId`, `AccessDenied`, …) and 400 or 403.
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
export function verifySigV4(request: SignedRequest, options: SigV4Options): VerifiedSignature {
  const query = parseQuery(request.rawQuery);
  const claim = readClaim(request, query);
  const known = options.identities.find(claim.accessKeyId);
  if (!known) {
    throw new AwsError('InvalidAccessKeyId', 403, 'The AWS Access Key Id you provided does not exist in our records.');
  }
  const { credentials, identity } = known;
  checkTime(claim, options.clock());
  checkToken(claim.sessionToken, credentials.sessionToken);
  checkScope(claim, options.region);
  checkSignedHeaders(claim, request.headers);

  const payload = payloadOf(claim, request);
  const chain = signingChain(claim, credentials.secretAccessKey);
  const expected = chain.sign(
    [ALGORITHM, chain.context, sha256(canonicalRequest(request, claim, query, payload))].join('\n'),
  );
  if (!sameText(expected, claim.signature)) {
    throw new AwsError(
      'SignatureDoesNotMatch',
      403,
      'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
    );
  }
  return { identity, service: claim.service, payload, chain };
}

function readClaim(request: SignedRequest, query: Query): Claim {
  const authorization = request.headers.authorization;
  if (authorization !== undefined) return headerClaim(authorization, request.headers);
  const parameters = new Map(query);
  if (parameters.has('X-Amz-Signature')) return queryClaim(parameters);
  throw new AwsError('AccessDenied', 403, 'Access Denied: the request is not signed.');
}

function headerClaim(authorization: string, headers: IncomingHttpHeaders): Claim {
  const fields = new Map(
    authorization
      .slice(ALGORITHM.length)
      .split(',')
      .map((field) => splitOnce(field.trim(), '=')),
  );
  const [credential, signedHeaders, signature] = ['Credential', 'SignedHeaders', 'Signature'].map((k) => fields.get(k));
  if (!authorization.startsWith(`${ALGORITHM} `) || !credential || !signedHeaders || !signature) {
    throw malformed(false, `expected ${ALGORITHM} with Credential, SignedHeaders and Signature`);
  }
  return {
    presigned: false,
    ...parseCredential(credential, false),
    signedHeaders: signedHeaders.split(';'),
    signature,
    timestamp: timestampOf(headers),
    expiresSeconds: undefined,
    sessionToken: headerText(headers['x-amz-security-token']),
  };
}

function queryClaim(parameters: ReadonlyMap<string, string>): Claim {
  const expiresSeconds = Number(parameters.get('X-Amz-Expires') ?? Number.NaN);
  if (parameters.get('X-Amz-Algorithm') !== ALGORITHM) throw malformed(true, `X-Amz-Algorithm must be ${ALGORITHM}`);
  if (!Number.isInteger(expiresSeconds) || expiresSeconds < 0 || expiresSeconds > MAX_PRESIGNED_SECONDS) {
    throw malformed(true, `X-Amz-Expires must be a number of seconds between 0 and ${MAX_PRESIGNED_SECONDS}`);
  }
  return {
    presigned: true,
    ...parseCredential(parameters.get('X-Amz-Credential') ?? '', true),
    signedHeaders: (parameters.get('X-Amz-SignedHeaders') ?? '').split(';'),
    signature: parameters.get('X-Amz-Signature') ?? '',
    timestamp: parameters.get('X-Amz-Date') ?? '',
    expiresSeconds,
    sessionToken: parameters.get('X-Amz-Security-Token'),
  };
}

function parseCredential(credential: string, presigned: boolean) {
  const [accessKeyId, date, region, service, terminator, ...rest] = credential.split('/');
  if (!accessKeyId || !date || !region || !service || terminator !== 'aws4_request' || rest.length > 0) {
    throw malformed(presigned, 'the credential must be <key id>/<date>/<region>/<service>/aws4_request');
  }
  return { accessKeyId, date, region, service };
}

function malformed(presigned: boolean, reason: string, details: Record<string, string> = {}): AwsError {
  return presigned
    ? new AwsError('AuthorizationQueryParametersError', 400, `Error parsing the query parameters; ${reason}`, details)
    : new AwsError('AuthorizationHeaderMalformed', 400, `The authorization header is malformed; ${reason}`, details);
}

/** `x-amz-date`, else `date` (which clients may send in HTTP's own form). */
function timestampOf(headers: IncomingHttpHeaders): string {
  const own = headerText(headers['x-amz-date']);
  if (own !== undefined) return own;
  const date = Date.parse(headers.date ?? '');
  return Number.isNaN(date) ? '' : new Date(date).toISOString().replace(/[-:]|\.\d+/g, '');
}

function checkTime({ timestamp, date, presigned, expiresSeconds = 0 }: Claim, now: number): void {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(timestamp);
  if (!match || !timestamp.startsWith(date)) {
    throw malformed(presigned, `the date '${timestamp}' must be YYYYMMDDTHHMMSSZ on the day of the credential`);
  }
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [number, number, ...number[]];
  const signedAt = Date.UTC(year, month - 1, day, hour, minute, second);
  if (presigned) {
    if (signedAt - now > MAX_SKEW_MS) throw new AwsError('AccessDenied', 403, 'Request is not yet valid');
    if (now > signedAt + expiresSeconds * 1000) {
      throw new AwsError('AccessDenied', 403, 'Request has expired', { 'X-Amz-Expires': String(expiresSeconds) });
    }
  } else if (Math.abs(now - signedAt) > MAX_SKEW_MS) {
    throw new AwsError(
      'RequestTimeTooSkewed',
      403,
      'The difference between the request time and the current time is too large.',
      { RequestTime: timestamp, ServerTime: new Date(now).toISOString() },
    );
  }
}

function checkToken(sent: string | undefined, expected: string | undefined): void {
  if (sameText(sent ?? '', expected ?? '')) return;
  throw new AwsError('InvalidToken', 400, 'The provided token is malformed or otherwise invalid.');
}

/** The other region is named in `Region`: S3 clients read it there and try again. */
function checkScope({ region, presigned }: Claim, expected: string): void {
  if (region === expected) return;
  throw malformed(presigned, `the region '${region}' is wrong; expecting '${expected}'`, { Region: expected });
}

function checkSignedHeaders({ signedHeaders, service }: Claim, headers: IncomingHttpHeaders): void {
  const required = Object.keys(headers).filter(
    (name) => name === 'host' || (service === 's3' && name.startsWith('x-amz-')),
  );
  const missing = required.filter((name) => !signedHeaders.includes(name));
  if (missing.length === 0) return;
  throw new AwsError('AccessDenied', 403, 'There were headers present in the request which were not signed', {
    HeadersNotSigned: missing.join(', '),
  });
}

function payloadOf({ presigned, service }: Claim, { headers, bodySha256 }: SignedRequest): string {
  const own = headerText(headers['x-amz-content-sha256']);
  if (own !== undefined) return own;
  if (service !== 's3') return bodySha256 ?? EMPTY_SHA256;
  if (presigned) return 'UNSIGNED-PAYLOAD';
  throw new AwsError('InvalidRequest', 400, 'Missing required header for this request: x-amz-content-sha256');
}

function signingChain({ date, region, service, timestamp, signature }: Claim, secret: string): SigningChain {
  const scope = [date, region, service, 'aws4_request'];
  const key = scope.reduce((parent: string | Buffer, part) => hmac(parent, part).digest(), `AWS4${secret}`);
  return {
    seedSignature: signature,
    context: `${timestamp}\n${scope.join('/')}`,
    sign: (stringToSign) => hmac(key, stringToSign).digest('hex'),
  };
}

/** Compares in constant time. */
export function sameText(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());
}

const hmac = (key: string | Buffer, value: string) => createHmac('sha256', key).update(value);
/** Node reads headers as Latin-1; written back the same way, the bytes are those of the wire. */
const sha256 = (value: string) => createHash('sha256').update(value, 'latin1').digest('hex');
