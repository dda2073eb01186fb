import { AwsError } from './aws-service.ts';
import type { Answer } from './http-server.ts';
import { bucketArn, type S3Request, xmlAnswer } from './s3-request.ts';
import type { StoredObject } from './s3-store.ts';

const MAX_KEYS = 1000;

export function listBuckets({ authorize, store, request }: S3Request): Answer {
  authorize('ListAllMyBuckets', '*');
  const owner = { ID: request.identity.name, DisplayName: request.identity.name };
  const buckets = store.buckets.map((Name) => ({ Name, CreationDate: new Date(0).toISOString() }));
  return xmlAnswer('ListAllMyBucketsResult', { Owner: owner, Buckets: { Bucket: buckets } });
}

/** ListObjectsV2, and version 1 (`marker`), which clients of other makes still ask for. */
export function listObjects({ authorize, store, bucket, request }: S3Request): Answer {
  authorize('ListBucket', bucketArn(bucket));
  const { query } = request;
  const v2 = query.get('list-type') === '2';
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const token = query.get('continuation-token');
  const after = token === null ? (query.get(v2 ? 'start-after' : 'marker') ?? '') : decodeToken(token);
  const maxKeys = Math.min(Number(query.get('max-keys') ?? MAX_KEYS) || 0, MAX_KEYS);

  const found = store.list(bucket).filter(({ key }) => key.startsWith(prefix) && isAfter(key, after, delimiter));
  const entries = [...group(found, prefix, delimiter)];
  const page = entries.slice(0, maxKeys);
  const last = page.at(-1)?.[0];
  const truncated = entries.length > page.length && last !== undefined;
  const show = query.get('encoding-type') === 'url' ? encodeKey : (text: string) => text;
  return xmlAnswer('ListBucketResult', {
    Name: bucket,
    Prefix: show(prefix),
    ...(delimiter && { Delimiter: show(delimiter) }),
    ...(query.has('encoding-type') && { EncodingType: 'url' }),
    MaxKeys: maxKeys,
    IsTruncated: truncated,
    ...(v2 ? { KeyCount: page.length } : { Marker: show(after) }),
    ...(truncated && (v2 ? { NextContinuationToken: encodeToken(last) } : { NextMarker: show(last) })),
    Contents: page.flatMap(([key, object]) => (object ? [{ Key: show(key), ...describe(object) }] : [])),
    CommonPrefixes: page.flatMap(([key, object]) => (object ? [] : [{ Prefix: show(key) }])),
  });
}

/** Keys in order; those that share what comes before the delimiter are one entry without an object. */
function group(
  objects: readonly StoredObject[],
  prefix: string,
  delimiter: string,
): Map<string, StoredObject | undefined> {
  const entries = new Map<string, StoredObject | undefined>();
  for (const object of objects) {
    const end = delimiter === '' ? -1 : object.key.indexOf(delimiter, prefix.length);
    if (end < 0) entries.set(object.key, object);
    else entries.set(object.key.slice(0, end + delimiter.length), undefined);
  }
  return entries;
}

function isAfter(key: string, after: string, delimiter: string): boolean {
  if (delimiter !== '' && after.endsWith(delimiter) && key.startsWith(after)) return false;
  return after === '' || Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0;
}

function describe({ versions: [newest] }: StoredObject) {
  const { lastModified = '', etag = '', size = 0 } = newest ?? {};
  return { LastModified: lastModified, ETag: `"${etag}"`, Size: size, StorageClass: 'STANDARD' };
}

const encodeKey = (key: string) => key.split('/').map(encodeURIComponent).join('/');
const encodeToken = (key: string) => Buffer.from(key).toString('base64url');

function decodeToken(token: string): string {
  if (token !== '') return Buffer.from(token, 'base64url').toString();
  throw new AwsError('InvalidArgument', 400, 'The continuation token provided is incorrect.');
}
