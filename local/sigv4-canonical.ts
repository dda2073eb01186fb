import type { IncomingHttpHeaders } from 'node:http';
import { AwsError } from './aws-error.ts';
import { splitOnce } from './text.ts';

/** The parts of an HTTP request that a signature covers. */
export interface SignedRequest {
  readonly method: string;
  /** Percent-encoded, as it was sent, without the query. */
  readonly path: string;
  /** The query as it was sent, without the question mark. */
  readonly rawQuery: string;
  readonly headers: IncomingHttpHeaders;
  /** Hex SHA-256 of the body; used when the request names no hash of its own in `x-amz-content-sha256`. */
  readonly bodySha256?: string;
}

export type Query = readonly (readonly [name: string, value: string])[];

/** The text whose hash is signed. `payload` is the body's hash or marker. */
export function canonicalRequest(
  { method, path, headers }: SignedRequest,
  { service, signedHeaders }: { readonly service: string; readonly signedHeaders: readonly string[] },
  query: Query,
  payload: string,
): string {
  const canonicalHeaders = signedHeaders.map(
    (name) => `${name}:${(headerText(headers[name]) ?? '').trim().replace(/\s+/g, ' ')}\n`,
  );
  return [
    method,
    service === 's3' ? reencode(path) : normalizePath(path),
    canonicalQuery(query),
    canonicalHeaders.join(''),
    signedHeaders.join(';'),
    payload,
  ].join('\n');
}

/** S3 encodes each path once; all others normalize it and encode what was already encoded once more. */
function normalizePath(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split('/').filter((part) => part !== '' && part !== '.')) {
    if (segment === '..') segments.pop();
    else segments.push(encode(segment));
  }
  const trailing = path.length > 1 && path.endsWith('/') && segments.length > 0 ? '/' : '';
  return `/${segments.join('/')}${trailing}`;
}

function reencode(path: string): string {
  return path.split('/').map(decode).map(encode).join('/');
}

function canonicalQuery(query: Query): string {
  return query
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([a, x], [b, y]) => compare(a, b) || compare(x, y))
    .map((pair) => pair.join('='))
    .join('&');
}

/** Names and values, decoded, in the order they were sent. */
export function parseQuery(rawQuery: string): Query {
  return rawQuery
    .split('&')
    .filter((part) => part !== '')
    .map((part) => splitOnce(part.replaceAll('+', ' '), '='))
    .map(([name, value]) => [decode(name), decode(value)]);
}

/** @throws AwsError `InvalidURI` when this is not percent-encoded UTF-8. */
export function decode(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    throw new AwsError(
      'InvalidURI',
      400,
      `Couldn't parse the specified URI: '${value}' is not valid percent-encoding.`,
    );
  }
}

function encode(value: string): string {
  return encodeURIComponent(value).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** A header's value; one that was sent several times is joined, as signatures do. */
export const headerText = (header: string | string[] | undefined) =>
  Array.isArray(header) ? header.join(',') : header;
