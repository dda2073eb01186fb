import type { Answer } from '../../kernel/index.ts';
import {
  AwsError,
  type AwsRequest,
  type AwsService,
  authorize,
  decodeUri,
  REGION,
  splitOnce,
} from '../../kernel/index.ts';
import { listObjects } from './s3-listing.ts';
import { MultipartUploads } from './s3-multipart.ts';
import { copyObject, getObject, putObject } from './s3-objects.ts';
import { bucketArn, type S3Request, xmlAnswer } from './s3-request.ts';
import type { S3Store } from './s3-store.ts';

type Operation = (s3: S3Request) => Promise<Answer> | Answer;
type Operations = Readonly<Record<string, Operation>>;

/** The supported query parameters. A request with any other is refused. */
const KNOWN_PARAMETERS = new Set(
  `list-type prefix delimiter continuation-token max-keys encoding-type fetch-owner location versionId uploads uploadId
   partNumber x-id`.split(/\s+/),
);

/** The S3 operations that releases, downloads and uploads by common clients need. */
export function s3Service(store: S3Store): AwsService {
  const operations = operationsOn(new MultipartUploads(store));
  return {
    async handle(sent) {
      const request = { ...sent, headers: { ...hoistedHeaders(sent.query), ...sent.headers } };
      const [bucket, key] = splitOnce(request.path.slice(1), '/').map(decodeUri) as [string, string];
      const operation = chooseOperation(operations, request, key === '' ? 'bucket' : 'object');
      if (!store.has(bucket)) {
        throw new AwsError('NoSuchBucket', 404, 'The specified bucket does not exist', { BucketName: bucket });
      }
      return operation({
        request,
        store,
        bucket,
        key,
        authorize: (action, resource = `${bucketArn(bucket)}/${key}`) =>
          authorize(request.identity, `s3:${action}`, resource, 'AccessDenied'),
      });
    },
  };
}

/** Presigned URLs contain `x-amz-` headers as query parameters. */
const isHoisted = (name: string) => name.toLowerCase().startsWith('x-amz-');

function hoistedHeaders(query: URLSearchParams): Record<string, string> {
  const hoisted = [...query].filter(([name]) => isHoisted(name));
  return Object.fromEntries(hoisted.map(([name, value]) => [name.toLowerCase(), value]));
}

function operationsOn(uploads: MultipartUploads): Operations {
  return {
    'HEAD bucket': ({ authorize, bucket }) => {
      authorize('ListBucket', bucketArn(bucket));
      return { status: 200, headers: { 'x-amz-bucket-region': REGION } };
    },
    'GET bucket': listObjects,
    'GET bucket?location': ({ authorize, bucket }) => {
      authorize('GetBucketLocation', bucketArn(bucket));
      return xmlAnswer('LocationConstraint', REGION);
    },
    'GET object': getObject,
    'HEAD object': getObject,
    'PUT object': putObject,
    'PUT object copy': copyObject,
    'POST object?uploads': (s3) => uploads.create(s3),
    'PUT object?uploadId': (s3) => uploads.addPart(s3),
    'POST object?uploadId': (s3) => uploads.complete(s3),
    'DELETE object?uploadId': (s3) => uploads.abort(s3),
  };
}

function chooseOperation(operations: Operations, { method, query, headers }: AwsRequest, target: string): Operation {
  const unknown = [...query.keys()].find((name) => !KNOWN_PARAMETERS.has(name) && !isHoisted(name));
  const flag = unknown ?? ['uploads', 'uploadId', 'location'].find((name) => query.has(name));
  const isRead = method === 'GET' || method === 'HEAD';
  const condition = ['if-none-match', ...(isRead ? [] : ['if-match'])].find((name) => headers[name] !== undefined);
  const copy = headers['x-amz-copy-source'] === undefined ? '' : ' copy';
  const wanted = `${method} ${target}${flag ? `?${flag}` : ''}${copy}${condition ? ` with ${condition}` : ''}`;
  const operation = operations[wanted];
  if (operation) return operation;
  throw new AwsError('NotImplemented', 501, `The local S3 does not imitate '${wanted}'.`);
}
