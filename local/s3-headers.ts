import { AwsError, type Headers } from './aws-service.ts';
import type { ObjectAttributes, ObjectVersion, Range } from './s3-store.ts';

const METADATA_PREFIX = 'x-amz-meta-';

/** Content type and user metadata of a request that writes an object. */
export function attributesOf(headers: Headers): ObjectAttributes {
  const metadata = Object.entries(headers)
    .filter(([name]) => name.startsWith(METADATA_PREFIX))
    .map(([name, value]) => [name.slice(METADATA_PREFIX.length), value ?? '']);
  return { contentType: headers['content-type'] ?? 'binary/octet-stream', metadata: Object.fromEntries(metadata) };
}

/** What describes a version in answers to GET and HEAD. */
export function versionHeaders(version: ObjectVersion): Record<string, string> {
  const metadata = Object.entries(version.metadata).map(([name, value]) => [METADATA_PREFIX + name, value]);
  return {
    ...Object.fromEntries(metadata),
    etag: `"${version.etag}"`,
    'content-type': version.contentType,
    'last-modified': new Date(version.lastModified).toUTCString(),
    'accept-ranges': 'bytes',
    'x-amz-version-id': version.versionId,
  };
}

/** Whether an `If-Match` or `If-None-Match` header names this ETag. */
export function namesEtag(header: string, etag: string): boolean {
  return header.split(',').some((one) => ['*', etag].includes(one.trim().replace(/^(W\/)?"|"$/g, '')));
}

export function preconditionFailed(condition: string): AwsError {
  const message = 'At least one of the pre-conditions you specified did not hold';
  return new AwsError('PreconditionFailed', 412, message, { Condition: condition });
}

/** Conditional writes: `If-None-Match: *` creates only, `If-Match` replaces only what was seen. */
export function publishConditions(headers: Headers): (current: ObjectVersion | undefined) => void {
  const ifNoneMatch = headers['if-none-match'];
  const ifMatch = headers['if-match'];
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') {
    throw new AwsError('NotImplemented', 501, 'If-None-Match of a write must be *.');
  }
  return (current) => {
    if (ifNoneMatch !== undefined && current) throw preconditionFailed('If-None-Match');
    if (ifMatch === undefined) return;
    if (!current) throw new AwsError('NoSuchKey', 404, 'The specified key does not exist.');
    if (!namesEtag(ifMatch, current.etag)) throw preconditionFailed('If-Match');
  };
}

export function checkContentMd5(headers: Headers, md5: string): void {
  const expected = headers['content-md5'];
  if (expected === undefined || Buffer.from(expected, 'base64').toString('hex') === md5) return;
  throw new AwsError('BadDigest', 400, 'The Content-MD5 you specified did not match what we received.');
}

/**
 * The one range that is asked for; undefined for the whole object, which is also the answer to a range that cannot be
 * read and to several at once, as in S3.
 *
 * @throws AwsError `InvalidRange` (416) when it lies outside
 */
export function parseRange(header: string | undefined, size: number): Range | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  if (first !== '' && last !== '' && Number(first) > Number(last)) return undefined;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (start <= end) return { start, end };
  throw new AwsError('InvalidRange', 416, 'The requested range is not satisfiable', {
    RangeRequested: header ?? '',
    ActualObjectSize: String(size),
  });
}
