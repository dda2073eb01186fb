import type { Answer } from '../../kernel/index.ts';
import { bucketArn, type S3Request, xmlAnswer } from './s3-request.ts';
import type { StoredObject } from './s3-store.ts';

const MAX_KEYS = 1000;

/** ListObjectsV2. The continuation token is the last entry of the previous page. */
export function listObjects({ authorize, store, bucket, request }: S3Request): Answer {
  authorize('ListBucket', bucketArn(bucket));
  const { query } = request;
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const after = Buffer.from(query.get('continuation-token') ?? '', 'base64url').toString();
  const maxKeys = Math.min(Number(query.get('max-keys') ?? MAX_KEYS) || 0, MAX_KEYS);

  const entries = [...group(store.list(bucket), prefix, delimiter)];
  const start = after === '' ? 0 : entries.findIndex(([name]) => name === after) + 1;
  const page = entries.slice(start, start + maxKeys);
  const truncated = start + page.length < entries.length;
  const show = query.get('encoding-type') === 'url' ? encodeKey : (text: string) => text;
  return xmlAnswer('ListBucketResult', {
    Name: bucket,
    Prefix: show(prefix),
    ...(delimiter && { Delimiter: show(delimiter) }),
    ...(query.has('encoding-type') && { EncodingType: 'url' }),
    MaxKeys: maxKeys,
    KeyCount: page.length,
    IsTruncated: truncated,
    ...(truncated && { NextContinuationToken: Buffer.from(page.at(-1)?.[0] ?? '').toString('base64url') }),
    Contents: page.flatMap(([key, object]) => (object ? [{ Key: show(key), ...describe(object) }] : [])),
    CommonPrefixes: page.flatMap(([key, object]) => (object ? [] : [{ Prefix: show(key) }])),
  });
}

/** Keys with the prefix, in order. Keys with a common part up to the delimiter are one entry without an object. */
function group(objects: readonly StoredObject[], prefix: string, delimiter: string) {
  const entries = new Map<string, StoredObject | undefined>();
  for (const object of objects.filter(({ key }) => key.startsWith(prefix))) {
    const end = delimiter === '' ? -1 : object.key.indexOf(delimiter, prefix.length);
    if (end < 0) entries.set(object.key, object);
    else entries.set(object.key.slice(0, end + delimiter.length), undefined);
  }
  return entries;
}

function describe({ versions: [{ lastModified, etag, size }] }: StoredObject) {
  return { LastModified: lastModified, ETag: `"${etag}"`, Size: size, StorageClass: 'STANDARD' };
}

const encodeKey = (key: string) => key.split('/').map(encodeURIComponent).join('/');
