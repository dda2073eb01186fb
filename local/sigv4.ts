import { createHash, timingSafeEqual } from 'node:crypto';
import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import { z } from 'zod';
import type { Headers, Identity } from './aws-service.ts';
import { AwsError, decodeUri } from './aws-service.ts';
import type { Identities } from './identities.ts';
import { splitOnce } from './text.ts';

/** The parts of an HTTP request that a signature covers. */
export interface SignedRequest {
  readonly method: string;
  /** Percent-encoded, as it was sent, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  /** Hex SHA-256 of the body; used when the request names no hash of its own in `x-amz-content-sha256`. */
  readonly bodySha256?: string;
}

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
  sign(stringToSign: string): Promise<string>;
}

export const EMPTY_SHA256 = createHash('sha256').digest('hex');
const PAYLOAD_HEADER = 'x-amz-content-sha256';
const MAX_SKEW_MS = 15 * 60_000;
const MAX_PRESIGNED_SECONDS = 7 * 24 * 3600;

/** What a signature says about itself. Presigned URLs name it so; an `Authorization` header is read into the same names. */
const claimSchema = z.object({
  'X-Amz-Algorithm': z.literal('AWS4-HMAC-SHA256'),
  'X-Amz-Credential': z.string().regex(/^[^/]+\/\d{8}\/[^/]+\/[^/]+\/aws4_request$/),
  'X-Amz-Date': z.string().regex(/^\d{8}T\d{6}Z$/),
  'X-Amz-SignedHeaders': z.string(),
  'X-Amz-Signature': z.string(),
  'X-Amz-Security-Token': z.string().default(''),
  'X-Amz-Expires': z.coerce.number().int().min(0).max(MAX_PRESIGNED_SECONDS).default(0),
});

type Claim = ReturnType<typeof readClaim>;

/**
 * Checks an AWS Signature Version 4, in the `Authorization` header or in a presigned query: who claims to have signed the
 * request signs it again.
 *
 * The body itself is not looked at: compare it with `payload` of the result.
 *
 * @throws AwsError with S3's code (`SignatureDoesNotMatch`, `InvalidAccessKeyId`, `AccessDenied`, …) and 400 or 403.
 */
export async function verifySigV4(request: SignedRequest, options: SigV4Options): Promise<VerifiedSignature> {
  const claim = readClaim(request);
  const { accessKeyId, region, service, timestamp, signature, signedAt } = claim;
  const known = options.identities.find(accessKeyId);
  if (!known) {
    throw new AwsError('InvalidAccessKeyId', 403, 'The AWS Access Key Id you provided does not exist in our records.');
  }
  const { credentials, identity } = known;
  checkTime(claim, options.clock());
  checkToken(claim, credentials.sessionToken);
  checkRegion(claim, options.region);
  checkSignedHeaders(claim, request.headers);

  const payload = payloadOf(claim, request);
  const signer = new SignatureV4({ credentials, region, service, sha256: Sha256, uriEscapePath: service !== 's3' });
  if (!sameText(await signAgain(signer, claim, request, payload), signature)) {
    throw new AwsError(
      'SignatureDoesNotMatch',
      403,
      'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
    );
  }
  const chain = {
    seedSignature: signature,
    context: `${timestamp}\n${claim.scope}`,
    sign: (stringToSign: string) => signer.sign(stringToSign, { signingDate: signedAt }),
  };
  return { identity, service, payload, chain };
}

function readClaim({ headers, query }: SignedRequest) {
  const { authorization } = headers;
  const presigned = authorization === undefined;
  if (presigned && !query.has('X-Amz-Signature')) {
    throw new AwsError('AccessDenied', 403, 'Access Denied: the request is not signed.');
  }
  const parameters = presigned ? Object.fromEntries(query) : headerParameters(authorization, headers);
  const { data, error } = claimSchema.safeParse(parameters);
  if (!data) throw malformed(presigned, z.prettifyError(error));
  const [accessKeyId, scope] = splitOnce(data['X-Amz-Credential'], '/');
  const [, region = '', service = ''] = scope.split('/');
  const timestamp = data['X-Amz-Date'];
  const signedAt = new Date(timestamp.replace(/(....)(..)(..T..)(..)(..Z)/, '$1-$2-$3:$4:$5'));
  if (Number.isNaN(signedAt.getTime())) throw malformed(presigned, `there is no time ${timestamp}`);
  return {
    presigned,
    accessKeyId,
    scope,
    region,
    service,
    timestamp,
    signedAt,
    expiresSeconds: data['X-Amz-Expires'],
    signedHeaders: data['X-Amz-SignedHeaders'].split(';'),
    signature: data['X-Amz-Signature'],
    sessionToken: data['X-Amz-Security-Token'],
  };
}

/** `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…` */
function headerParameters(authorization: string, headers: Headers): Record<string, string | undefined> {
  const [algorithm, fields] = splitOnce(authorization, ' ');
  return {
    ...Object.fromEntries(fields.split(',').map((field) => splitOnce(`X-Amz-${field.trim()}`, '='))),
    'X-Amz-Algorithm': algorithm,
    'X-Amz-Date': headers['x-amz-date'],
    'X-Amz-Security-Token': headers['x-amz-security-token'],
  };
}

function malformed(presigned: boolean, reason: string, details: Record<string, string> = {}): AwsError {
  return presigned
    ? new AwsError('AuthorizationQueryParametersError', 400, `Error parsing the query parameters: ${reason}`, details)
    : new AwsError('AuthorizationHeaderMalformed', 400, `The authorization header is malformed: ${reason}`, details);
}

function checkTime({ signedAt, presigned, expiresSeconds }: Claim, now: number): void {
  const age = now - signedAt.getTime();
  if (presigned && age < -MAX_SKEW_MS) throw new AwsError('AccessDenied', 403, 'Request is not yet valid');
  if (presigned && age > expiresSeconds * 1000) throw new AwsError('AccessDenied', 403, 'Request has expired');
  if (!presigned && Math.abs(age) > MAX_SKEW_MS) {
    throw new AwsError(
      'RequestTimeTooSkewed',
      403,
      'The difference between the request time and the current time is too large.',
    );
  }
}

function checkToken({ sessionToken }: Claim, expected = ''): void {
  if (sameText(sessionToken, expected)) return;
  throw new AwsError('InvalidToken', 400, 'The provided token is malformed or otherwise invalid.');
}

/** The other region is named in `Region`: S3 clients read it there and try again. */
function checkRegion({ region, presigned }: Claim, expected: string): void {
  if (region === expected) return;
  throw malformed(presigned, `the region '${region}' is wrong; expecting '${expected}'`, { Region: expected });
}

function checkSignedHeaders({ signedHeaders, service }: Claim, headers: Headers): void {
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
  const own = headers[PAYLOAD_HEADER];
  if (own !== undefined) return own;
  if (service !== 's3') return bodySha256 ?? EMPTY_SHA256;
  if (presigned) return 'UNSIGNED-PAYLOAD';
  throw new AwsError('InvalidRequest', 400, `Missing required header for this request: ${PAYLOAD_HEADER}`);
}

/** The signature that the request has if who claims to have signed it did. */
async function signAgain(signer: SignatureV4, claim: Claim, request: SignedRequest, payload: string): Promise<string> {
  const { presigned, service, signedAt, signedHeaders, expiresSeconds } = claim;
  // Node reads headers as Latin-1; what was signed are the bytes of the wire.
  const signed = signedHeaders.map((name) => [name, Buffer.from(request.headers[name] ?? '', 'latin1').toString()]);
  const again = {
    method: request.method,
    protocol: 'http:',
    hostname: '',
    path: service === 's3' ? reencode(request.path) : request.path,
    query: Object.fromEntries([...request.query.keys()].map((name) => [name, request.query.getAll(name)])),
    headers: { ...Object.fromEntries(signed), [PAYLOAD_HEADER]: payload },
  };
  // The signer takes the body's hash from its header, which is signed only where the client did so.
  const options = {
    signingDate: signedAt,
    signableHeaders: new Set(signedHeaders),
    unsignableHeaders: new Set([PAYLOAD_HEADER]),
  };
  if (!presigned) return (await signer.sign(again, options)).headers.authorization?.split('Signature=')[1] ?? '';
  const unhoistableHeaders = new Set(Object.keys(again.headers));
  const { query } = await signer.presign(again, { ...options, expiresIn: expiresSeconds, unhoistableHeaders });
  return String(query?.['X-Amz-Signature']);
}

/** S3 signs the path with each of its characters encoded in the one way, however the client sent it. */
function reencode(path: string): string {
  const encode = (part: string) => encodeURIComponent(decodeUri(part)).replace(/[!'()*]/g, hexadecimal);
  return path.split('/').map(encode).join('/');
}

const hexadecimal = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;

/** Compares in constant time. */
export function sameText(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());
}
