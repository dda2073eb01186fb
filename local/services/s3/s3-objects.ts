import type { Answer } from '../../kernel/index.ts';
import { AwsError, decodeUri, type Headers, splitOnce } from '../../kernel/index.ts';
import { bucketArn, type S3Request, writtenBy, xmlAnswer } from './s3-request.ts';
import type { ObjectAttributes, ObjectVersion, Range } from './s3-store.ts';

const METADATA_PREFIX = 'x-amz-meta-';

/** GetObject and HeadObject. */
export function getObject(s3: S3Request): Answer {
  const { request, store, bucket, key } = s3;
  const version = findReadable(s3, bucket, key, request.query.get('versionId') ?? undefined);
  checkEtag('If-Match', request.headers['if-match'], version);
  const range = parseRange(request.headers.range, version.size);
  const { start, end } = range ?? { start: 0, end: version.size - 1 };
  const metadata = Object.entries(version.metadata).map(([name, value]) => [METADATA_PREFIX + name, value]);
  return {
    status: range ? 206 : 200,
    headers: {
      ...Object.fromEntries(metadata),
      etag: `"${version.etag}"`,
      'content-type': version.contentType,
      'content-length': String(end - start + 1),
      'last-modified': new Date(version.lastModified).toUTCString(),
      'accept-ranges': 'bytes',
      'x-amz-version-id': version.versionId,
      ...(range && { 'content-range': `bytes ${start}-${end}/${version.size}` }),
    },
    ...(request.method === 'GET' && version.size > 0 && { body: store.read(version, { start, end }) }),
  };
}

export async function putObject(s3: S3Request): Promise<Answer> {
  const { request, store, authorize } = s3;
  const { headers, body } = request;
  authorize('PutObject');
  if (headers['content-length'] === undefined && headers['x-amz-decoded-content-length'] === undefined) {
    throw new AwsError('MissingContentLength', 411, 'You must provide the Content-Length HTTP header.');
  }
  const content = await store.write(body);
  const { etag, versionId } = store.publish(writtenBy(s3, 'PutObject'), content, attributesOf(headers));
  return { status: 200, headers: { etag: `"${etag}"`, 'x-amz-version-id': versionId } };
}

export async function copyObject(s3: S3Request): Promise<Answer> {
  const { store, authorize } = s3;
  const { headers } = s3.request;
  authorize('PutObject');
  const source = parseCopySource(headers['x-amz-copy-source'] ?? '');
  const version = findReadable(s3, source.bucket, source.key, source.versionId);
  checkEtag('x-amz-copy-source-If-Match', headers['x-amz-copy-source-if-match'], version);
  const { contentType, metadata } = headers['x-amz-metadata-directive'] === 'REPLACE' ? attributesOf(headers) : version;
  const tagging = taggingOfCopy(s3, source, version);
  const content = await store.write(store.read(version));
  const copy = store.publish(writtenBy(s3, 'CopyObject'), content, {
    contentType,
    metadata,
    ...(tagging === undefined ? {} : { tagging }),
  });
  return xmlAnswer(
    'CopyObjectResult',
    { ETag: `"${copy.etag}"`, LastModified: copy.lastModified },
    { 'x-amz-version-id': copy.versionId, 'x-amz-copy-source-version-id': version.versionId },
  );
}

/**
 * Tags are copied unless the request replaces them, and then S3 asks for the right to read and to write them.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
 */
function taggingOfCopy(
  { authorize, request: { headers } }: S3Request,
  source: ReturnType<typeof parseCopySource>,
  version: ObjectVersion,
): string | undefined {
  const isReplaced = headers['x-amz-tagging-directive'] === 'REPLACE';
  const tagging = isReplaced ? headers['x-amz-tagging'] : version.tagging;
  if (tagging === undefined) return undefined;
  const read = source.versionId === undefined ? 'GetObjectTagging' : 'GetObjectVersionTagging';
  if (!isReplaced) authorize(read, `${bucketArn(source.bucket)}/${source.key}`);
  authorize('PutObjectTagging');
  return tagging;
}

/** Content type, user metadata and tags of a request that writes an object. */
export function attributesOf(headers: Headers): ObjectAttributes {
  const metadata = Object.entries(headers)
    .filter(([name]) => name.startsWith(METADATA_PREFIX))
    .map(([name, value = '']) => [name.slice(METADATA_PREFIX.length), value]);
  const tagging = headers['x-amz-tagging'];
  return {
    contentType: headers['content-type'] ?? 'binary/octet-stream',
    metadata: Object.fromEntries(metadata),
    ...(tagging === undefined ? {} : { tagging }),
  };
}

/** The version to read. @throws AwsError if the caller may not read it or it does not exist */
function findReadable({ authorize, store }: S3Request, bucket: string, key: string, versionId?: string): ObjectVersion {
  authorize(versionId === undefined ? 'GetObject' : 'GetObjectVersion', `${bucketArn(bucket)}/${key}`);
  const version = store.find(bucket, key, versionId);
  if (version) return version;
  // A caller without s3:ListBucket may not learn whether an object exists.
  // https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
  authorize('ListBucket', bucketArn(bucket));
  throw versionId === undefined
    ? new AwsError('NoSuchKey', 404, 'The specified key does not exist.', { Key: key })
    : new AwsError('NoSuchVersion', 404, 'The specified version does not exist.', { Key: key, VersionId: versionId });
}

function checkEtag(condition: string, expected: string | undefined, { etag }: ObjectVersion): void {
  if (expected === undefined || expected.replaceAll('"', '') === etag) return;
  const message = 'At least one of the pre-conditions you specified did not hold';
  throw new AwsError('PreconditionFailed', 412, message, { Condition: condition });
}

/** Parses `[/]bucket/key[?versionId=…]`, which is percent-encoded. */
function parseCopySource(header: string): { bucket: string; key: string; versionId: string | undefined } {
  const [path, query] = splitOnce(header, '?');
  const [bucket, key] = splitOnce(decodeUri(path).replace(/^\//, ''), '/');
  if (bucket === '' || key === '') {
    throw new AwsError('InvalidArgument', 400, `Copy source must be <bucket>/<key>, got '${header}'.`);
  }
  return { bucket, key, versionId: new URLSearchParams(query).get('versionId') ?? undefined };
}

/**
 * The requested range. Undefined means the whole object, also for an invalid range and for several ranges, as in S3.
 *
 * @throws AwsError `InvalidRange` (416) if the range is outside the object
 */
function parseRange(header: string | undefined, size: number): Range | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  if (first !== '' && last !== '' && Number(first) > Number(last)) return undefined;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (start <= end) return { start, end };
  throw new AwsError('InvalidRange', 416, 'The requested range is not satisfiable');
}
