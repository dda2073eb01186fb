import { AwsError, type AwsRequest, type AwsService, decodeUri, permit } from './aws-service.ts';
import type { Answer } from './http-server.ts';
import { attributesOf, checkContentMd5, publishConditions } from './s3-headers.ts';
import { listBuckets, listObjects } from './s3-listing.ts';
import { MultipartUploads } from './s3-multipart.ts';
import { copyObject, deleteObject, getObject, putObject } from './s3-objects.ts';
import { bucketArn, type S3Request, xmlAnswer } from './s3-request.ts';
import type { S3Store } from './s3-store.ts';
import { parseParts } from './s3-xml.ts';

type Operation = (s3: S3Request) => Promise<Answer> | Answer;

/** Query parameters that are understood; any other asks for something that is not imitated. */
const KNOWN_PARAMETERS = new Set(
  `list-type prefix delimiter continuation-token start-after marker max-keys encoding-type fetch-owner location
   versionId uploads uploadId partNumber x-id`.split(/\s+/),
);
/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html */
const MAX_KEY_BYTES = 1024;
const MAX_XML_BYTES = 1024 * 1024;

/** The S3 operations that releases, downloads and uploads by common clients need, over a folder. */
export function s3Service(store: S3Store, region: string): AwsService {
  const uploads = new MultipartUploads(store);
  return {
    async handle(sent) {
      const request = { ...sent, headers: { ...hoistedHeaders(sent.query), ...sent.headers } };
      const { bucket, key } = parseTarget(request.path);
      const authorize = (action: string, resource = `arn:aws:s3:::${bucket}/${key}`) =>
        permit(request.identity, `s3:${action}`, resource, 'AccessDenied');
      const operation = chooseOperation(request, bucket, key);
      if (bucket !== '' && !store.has(bucket)) {
        throw new AwsError('NoSuchBucket', 404, 'The specified bucket does not exist', { BucketName: bucket });
      }
      return operation({ request, store, uploads, region, bucket, key, authorize });
    },
  };
}

/** Presigned URLs carry `x-amz-` headers in the query. */
const isHoisted = (name: string) => name.toLowerCase().startsWith('x-amz-');

function hoistedHeaders(query: URLSearchParams): Record<string, string> {
  const hoisted = [...query].filter(([name]) => isHoisted(name));
  return Object.fromEntries(hoisted.map(([name, value]) => [name.toLowerCase(), value]));
}

function parseTarget(path: string): { bucket: string; key: string } {
  const [, bucket = '', ...rest] = path.split('/');
  const key = decodeUri(rest.join('/'));
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) {
    throw new AwsError('KeyTooLongError', 400, `Your key is too long: more than ${MAX_KEY_BYTES} bytes.`);
  }
  return { bucket: decodeUri(bucket), key };
}

function chooseOperation({ method, query, headers }: AwsRequest, bucket: string, key: string): Operation {
  const unknown = [...query.keys()].find((name) => !KNOWN_PARAMETERS.has(name) && !isHoisted(name));
  const flags = ['uploads', 'uploadId', 'location'].filter((name) => query.has(name)).join();
  const copy = headers['x-amz-copy-source'] === undefined ? '' : ' copy';
  const target = bucket === '' ? 'service' : key === '' ? 'bucket' : 'object';
  const operation = unknown === undefined ? OPERATIONS[`${method} ${target} ${flags}${copy}`.trim()] : undefined;
  if (operation) return operation;
  const wanted = `${method} ${target}${copy}${(unknown ?? flags) ? `?${unknown ?? flags}` : ''}`;
  throw new AwsError('NotImplemented', 501, `The local S3 does not imitate '${wanted}'.`);
}

const OPERATIONS: Readonly<Record<string, Operation>> = {
  'GET service': listBuckets,
  'HEAD bucket': ({ authorize, bucket, region }) => {
    authorize('ListBucket', bucketArn(bucket));
    return { status: 200, headers: { 'x-amz-bucket-region': region } };
  },
  'GET bucket': listObjects,
  'GET bucket location': ({ authorize, bucket, region }) => {
    authorize('GetBucketLocation', bucketArn(bucket));
    return xmlAnswer('LocationConstraint', region === 'us-east-1' ? '' : region);
  },
  'GET object': getObject,
  'HEAD object': getObject,
  'PUT object': putObject,
  'PUT object  copy': copyObject,
  'DELETE object': deleteObject,
  'POST object uploads': createUpload,
  'PUT object uploadId': uploadPart,
  'POST object uploadId': completeUpload,
  'DELETE object uploadId': async (s3) => {
    s3.authorize('AbortMultipartUpload');
    await s3.uploads.abort(uploadTarget(s3));
    return { status: 204 };
  },
};

async function createUpload({ authorize, uploads, bucket, key, request }: S3Request): Promise<Answer> {
  authorize('PutObject');
  const uploadId = await uploads.create({ bucket, key, ...attributesOf(request.headers) });
  return xmlAnswer('InitiateMultipartUploadResult', { Bucket: bucket, Key: key, UploadId: uploadId });
}

async function uploadPart(s3: S3Request): Promise<Answer> {
  const { headers, query, body } = s3.request;
  s3.authorize('PutObject');
  const part = { ...uploadTarget(s3), number: Number(query.get('partNumber')) };
  const etag = await s3.uploads.addPart(part, body, (md5) => checkContentMd5(headers, md5));
  return { status: 200, headers: { etag: `"${etag}"` } };
}

async function completeUpload(s3: S3Request): Promise<Answer> {
  const { bucket, key, request } = s3;
  s3.authorize('PutObject');
  const parts = parseParts(await readText(request.body));
  const version = await s3.uploads.complete(uploadTarget(s3), parts, publishConditions(request.headers));
  return xmlAnswer(
    'CompleteMultipartUploadResult',
    {
      Location: `http://${request.headers.host}${request.path}`,
      Bucket: bucket,
      Key: key,
      ETag: `"${version.etag}"`,
    },
    { 'x-amz-version-id': version.versionId },
  );
}

function uploadTarget({ bucket, key, request }: S3Request) {
  return { bucket, key, uploadId: request.query.get('uploadId') ?? '' };
}

async function readText(body: AsyncIterable<Buffer>): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of body) {
    size += piece.length;
    if (size > MAX_XML_BYTES) throw new AwsError('MalformedXML', 400, `The XML has more than ${MAX_XML_BYTES} bytes.`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}
