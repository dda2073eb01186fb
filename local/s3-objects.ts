import { AwsError, decodeUri } from './aws-service.ts';
import type { Answer } from './http-server.ts';
import {
  attributesOf,
  checkContentMd5,
  namesEtag,
  parseRange,
  preconditionFailed,
  publishConditions,
  versionHeaders,
} from './s3-headers.ts';
import { bucketArn, type S3Request, xmlAnswer } from './s3-request.ts';
import type { ObjectVersion } from './s3-store.ts';
import { splitOnce } from './text.ts';

/** A version that has bytes. */
type Readable = ObjectVersion & { readonly contentId: string };

/** GetObject and HeadObject. */
export function getObject(s3: S3Request): Answer {
  const { request, store, bucket, key } = s3;
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = request.headers;
  const version = findReadable(s3, bucket, key, request.query.get('versionId') ?? undefined);
  if (ifMatch !== undefined && !namesEtag(ifMatch, version.etag)) throw preconditionFailed('If-Match');
  const headers = versionHeaders(version);
  if (ifNoneMatch !== undefined && namesEtag(ifNoneMatch, version.etag)) return { status: 304, headers };

  const range = parseRange(request.headers.range, version.size);
  const { start, end } = range ?? { start: 0, end: version.size - 1 };
  return {
    status: range ? 206 : 200,
    headers: {
      ...headers,
      'content-length': String(end - start + 1),
      ...(range && { 'content-range': `bytes ${start}-${end}/${version.size}` }),
    },
    ...(request.method === 'GET' && version.size > 0 && { body: store.read(version, { start, end }) }),
  };
}

export async function putObject(s3: S3Request): Promise<Answer> {
  const { request, store, bucket, key } = s3;
  const { headers, body } = request;
  s3.authorize('PutObject');
  if (headers['content-length'] === undefined && headers['x-amz-decoded-content-length'] === undefined) {
    throw new AwsError('MissingContentLength', 411, 'You must provide the Content-Length HTTP header.');
  }
  const conditions = publishConditions(headers);
  conditions(newest(s3));
  const content = await store.write(body);
  const version = await store.publish(
    { bucket, key, reason: 'PutObject' },
    content,
    attributesOf(headers),
    (current) => {
      checkContentMd5(headers, content.md5);
      conditions(current);
    },
  );
  return { status: 200, headers: { etag: `"${version.etag}"`, 'x-amz-version-id': version.versionId } };
}

export async function copyObject(s3: S3Request): Promise<Answer> {
  const { store, bucket, key } = s3;
  const { headers } = s3.request;
  const source = parseCopySource(headers['x-amz-copy-source'] ?? '');
  const ifMatch = headers['x-amz-copy-source-if-match'];
  s3.authorize('PutObject');
  const version = findReadable(s3, source.bucket, source.key, source.versionId);
  if (ifMatch !== undefined && !namesEtag(ifMatch, version.etag))
    throw preconditionFailed('x-amz-copy-source-If-Match');

  const attributes = headers['x-amz-metadata-directive'] === 'REPLACE' ? attributesOf(headers) : attributesIn(version);
  const content = await store.write(store.read(version));
  const target = { bucket, key, reason: 'CopyObject' } as const;
  const copy = await store.publish(target, content, attributes, publishConditions(headers));
  return xmlAnswer(
    'CopyObjectResult',
    { ETag: `"${copy.etag}"`, LastModified: copy.lastModified },
    { 'x-amz-version-id': copy.versionId, 'x-amz-copy-source-version-id': version.versionId },
  );
}

export async function deleteObject(s3: S3Request): Promise<Answer> {
  const versionId = s3.request.query.get('versionId') ?? undefined;
  s3.authorize(versionId === undefined ? 'DeleteObject' : 'DeleteObjectVersion');
  const removed = await s3.store.delete(s3.bucket, s3.key, versionId);
  const marker = removed !== undefined && removed.contentId === undefined;
  return {
    status: 204,
    headers: {
      ...(removed && { 'x-amz-version-id': removed.versionId }),
      ...(marker && { 'x-amz-delete-marker': 'true' }),
    },
  };
}

function newest({ store, bucket, key }: S3Request): ObjectVersion | undefined {
  const version = store.find(bucket, key);
  return version?.contentId === undefined ? undefined : version;
}

function attributesIn({ contentType, metadata }: ObjectVersion) {
  return { contentType, metadata };
}

/** The version to read, once the caller was found to be allowed to. */
function findReadable(s3: S3Request, bucket: string, key: string, versionId: string | undefined): Readable {
  s3.authorize(versionId === undefined ? 'GetObject' : 'GetObjectVersion', `${bucketArn(bucket)}/${key}`);
  const version = s3.store.find(bucket, key, versionId);
  if (version?.contentId !== undefined) return version as Readable;
  // Without s3:ListBucket, what does not exist cannot be told from what may not be read.
  // https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
  s3.authorize('ListBucket', bucketArn(bucket));
  if (version && versionId !== undefined) {
    throw new AwsError('MethodNotAllowed', 405, 'The specified method is not allowed against a delete marker.');
  }
  throw versionId === undefined
    ? new AwsError('NoSuchKey', 404, 'The specified key does not exist.', { Key: key })
    : new AwsError('NoSuchVersion', 404, 'The specified version does not exist.', { Key: key, VersionId: versionId });
}

/** `[/]bucket/key[?versionId=…]`, percent-encoded. */
function parseCopySource(header: string): { bucket: string; key: string; versionId: string | undefined } {
  const [path, query] = splitOnce(header, '?');
  const [bucket, key] = splitOnce(decodeUri(path).replace(/^\//, ''), '/');
  if (bucket === '' || key === '') {
    throw new AwsError('InvalidArgument', 400, `Copy source must be <bucket>/<key>, got '${header}'.`);
  }
  return { bucket, key, versionId: new URLSearchParams(query).get('versionId') ?? undefined };
}
