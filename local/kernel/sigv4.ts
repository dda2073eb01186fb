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
  /** Percent-encoded as sent, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  /** Hex SHA-256 of the body. It is used if the request has no `x-amz-content-sha256`. */
  readonly bodySha256?: string | undefined;
}

export interface SigV4Options {
  readonly identities: Identities;
  readonly region: string;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

export interface VerifiedSignature {
  readonly identity: Identity;
  /** The service that the credential scope names, such as `s3`. */
  readonly service: string;
  /** Hex SHA-256 that the body must have, or a marker such as `UNSIGNED-PAYLOAD`. */
  readonly payload: string;
  readonly signature: string;
  /** `timestamp \n scope`, the middle of every string to sign. */
  readonly context: string;
  /** Signs with the key of the request's signer, to check the signatures of its chunks. */
  sign(stringToSign: string): Promise<string>;
}

export const EMPTY_SHA256 = createHash('sha256').digest('hex');
const PAYLOAD_HEADER = 'x-amz-content-sha256';
const MAX_SKEW_MS = 15 * 60_000;
const MAX_PRESIGNED_SECONDS = 7 * 24 * 3600;

/** The fields of an `Authorization` header, or the parameters of a presigned URL without `X-Amz-`. */
const claimSchema = z.object({
  Algorithm: z.literal('AWS4-HMAC-SHA256'),
  Credential: z
    .string()
    .regex(/^[^/]+\/\d{8}\/[^/]+\/[^/]+\/aws4_request$/)
    .transform((text) => {
      const [accessKeyId, scope] = splitOnce(text, '/');
      const [, region = '', service = ''] = scope.split('/');
      return { accessKeyId, scope, region, service };
    }),
  Date: z
    .string()
    .regex(/^\d{8}T\d{6}Z$/)
    .refine((text) => !Number.isNaN(timeOf(text).getTime())),
  SignedHeaders: z.string().transform((names) => names.split(';')),
  Signature: z.string(),
  'Security-Token': z.string().default(''),
  Expires: z.coerce.number().int().min(0).max(MAX_PRESIGNED_SECONDS).default(0),
});

type Claim = z.infer<typeof claimSchema> & { readonly presigned: boolean };

/**
 * Verifies an AWS Signature Version 4 in the `Authorization` header or in a presigned query: the signature is computed
 * again with the secret key of the claimed signer.
 *
 * The body is not checked here: compare it with `payload` of the result.
 *
 * @throws AwsError with S3's code (`SignatureDoesNotMatch`, `InvalidAccessKeyId`, `AccessDenied`, …) and 400 or 403.
 */
export async function verifySigV4(request: SignedRequest, options: SigV4Options): Promise<VerifiedSignature> {
  const claim = readClaim(request);
  const { accessKeyId, scope, region, service } = claim.Credential;
  const known = options.identities.find(accessKeyId);
  if (!known) {
    throw new AwsError('InvalidAccessKeyId', 403, 'The AWS Access Key Id you provided does not exist in our records.');
  }
  const { credentials, identity } = known;
  checkTime(claim, options.clock());
  if (!equalInConstantTime(claim['Security-Token'], credentials.sessionToken ?? '')) {
    throw new AwsError('InvalidToken', 400, 'The provided token is malformed or otherwise invalid.');
  }
  if (region !== options.region) throw wrongRegion(claim, options.region);
  checkSignedHeaders(claim, request.headers);

  const payload = payloadOf(claim, request);
  const signer = new SignatureV4({ credentials, region, service, sha256: Sha256, uriEscapePath: service !== 's3' });
  if (!equalInConstantTime(await recomputeSignature(signer, claim, request, payload), claim.Signature)) {
    const message = 'The request signature we calculated does not match the signature you provided.';
    throw new AwsError('SignatureDoesNotMatch', 403, `${message} Check your key and signing method.`);
  }
  const context = `${claim.Date}\n${scope}`;
  const sign = (stringToSign: string) => signer.sign(stringToSign, { signingDate: timeOf(claim.Date) });
  return { identity, service, payload, signature: claim.Signature, context, sign };
}

function readClaim({ headers, query }: SignedRequest): Claim {
  const { authorization } = headers;
  const presigned = authorization === undefined;
  if (presigned && !query.has('X-Amz-Signature')) {
    throw new AwsError('AccessDenied', 403, 'Access Denied: the request is not signed.');
  }
  const fields = presigned ? queryFields(query) : headerFields(authorization, headers);
  const { data, error } = claimSchema.safeParse(fields);
  if (data) return { ...data, presigned };
  throw malformed(presigned, z.prettifyError(error));
}

function queryFields(query: URLSearchParams): Record<string, string> {
  return Object.fromEntries([...query].map(([name, value]) => [name.replace(/^X-Amz-/, ''), value]));
}

/** `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…` */
function headerFields(authorization: string, headers: Headers): Record<string, string | undefined> {
  const [Algorithm, fields] = splitOnce(authorization, ' ');
  return {
    ...Object.fromEntries(fields.split(',').map((field) => splitOnce(field.trim(), '='))),
    Algorithm,
    Date: headers['x-amz-date'],
    'Security-Token': headers['x-amz-security-token'],
  };
}

function malformed(presigned: boolean, reason: string, details: Record<string, string> = {}): AwsError {
  return presigned
    ? new AwsError('AuthorizationQueryParametersError', 400, `Error parsing the query parameters: ${reason}`, details)
    : new AwsError('AuthorizationHeaderMalformed', 400, `The authorization header is malformed: ${reason}`, details);
}

/** `20260102T030405Z` */
const timeOf = (text: string) => new Date(text.replace(/(....)(..)(..T..)(..)(..Z)/, '$1-$2-$3:$4:$5'));

function checkTime({ Date: signedAt, presigned, Expires }: Claim, now: number): void {
  const age = now - timeOf(signedAt).getTime();
  if (presigned && age < -MAX_SKEW_MS) throw new AwsError('AccessDenied', 403, 'Request is not yet valid');
  if (presigned && age > Expires * 1000) throw new AwsError('AccessDenied', 403, 'Request has expired');
  if (presigned || Math.abs(age) <= MAX_SKEW_MS) return;
  const message = 'The difference between the request time and the current time is too large.';
  throw new AwsError('RequestTimeTooSkewed', 403, message);
}

/** S3 clients read the right region from `Region` and retry. */
function wrongRegion({ Credential: { region }, presigned }: Claim, expected: string): AwsError {
  return malformed(presigned, `the region '${region}' is wrong; expecting '${expected}'`, { Region: expected });
}

function checkSignedHeaders({ SignedHeaders, Credential: { service } }: Claim, headers: Headers): void {
  const isRequired = (name: string) => name === 'host' || (service === 's3' && name.startsWith('x-amz-'));
  const missing = Object.keys(headers).filter((name) => isRequired(name) && !SignedHeaders.includes(name));
  if (missing.length === 0) return;
  const message = 'There were headers present in the request which were not signed';
  throw new AwsError('AccessDenied', 403, message, { HeadersNotSigned: missing.join(', ') });
}

function payloadOf({ presigned, Credential: { service } }: Claim, { headers, bodySha256 }: SignedRequest): string {
  const own = headers[PAYLOAD_HEADER];
  if (own !== undefined) return own;
  if (service !== 's3') return bodySha256 ?? EMPTY_SHA256;
  if (presigned) return 'UNSIGNED-PAYLOAD';
  throw new AwsError('InvalidRequest', 400, `Missing required header for this request: ${PAYLOAD_HEADER}`);
}

/** The signature that the claimed signer would compute for the request. */
async function recomputeSignature(
  signer: SignatureV4,
  claim: Claim,
  request: SignedRequest,
  payload: string,
): Promise<string> {
  const { presigned, SignedHeaders, Credential, Expires } = claim;
  // Node decodes headers as Latin-1, but the signature covers the bytes.
  const signed = SignedHeaders.map((name) => [name, Buffer.from(request.headers[name] ?? '', 'latin1').toString()]);
  const again = {
    method: request.method,
    protocol: 'http:',
    hostname: '',
    path: Credential.service === 's3' ? normalizePath(request.path) : request.path,
    query: Object.fromEntries([...request.query.keys()].map((name) => [name, request.query.getAll(name)])),
    headers: { ...Object.fromEntries(signed), [PAYLOAD_HEADER]: payload },
  };
  // The signer reads the hash of the body from a header, which the client may not have signed.
  const options = {
    signingDate: timeOf(claim.Date),
    signableHeaders: new Set(SignedHeaders),
    unsignableHeaders: new Set([PAYLOAD_HEADER]),
  };
  if (!presigned) return (await signer.sign(again, options)).headers.authorization?.split('Signature=')[1] ?? '';
  const unhoistableHeaders = new Set(Object.keys(again.headers));
  const { query } = await signer.presign(again, { ...options, expiresIn: Expires, unhoistableHeaders });
  return String(query?.['X-Amz-Signature']);
}

/** S3 signs the path in one canonical encoding, whatever encoding the client sent. */
function normalizePath(path: string): string {
  const encode = (part: string) => encodeURIComponent(decodeUri(part)).replace(/[!'()*]/g, hexadecimal);
  return path.split('/').map(encode).join('/');
}

const hexadecimal = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;

/** Compares in constant time. */
export function equalInConstantTime(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());
}
