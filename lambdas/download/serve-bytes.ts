import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { APIGatewayProxyStructuredResultV2 } from 'aws-lambda';

const client = new S3Client({});

/** Serves the whole image or the requested range; the gateway sets Content-Length from the body. */
export async function serveBytes(
  bucket: string,
  key: string,
  range: string | undefined,
): Promise<APIGatewayProxyStructuredResultV2> {
  const wanted = range !== undefined && /^bytes=\d*-\d*$/.test(range) ? { Range: range } : {};
  const object = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key, ...wanted })).catch(unlessBeyond);
  // A device that resumes a finished download asks for bytes after the end.
  if (object === undefined) return { statusCode: 416, headers: { 'cache-control': 'no-store' }, body: '' };
  const body = await object.Body?.transformToString('base64');
  return {
    statusCode: object.ContentRange === undefined ? 200 : 206,
    headers: {
      'content-type': 'application/octet-stream',
      'accept-ranges': 'bytes',
      'cache-control': 'no-store',
      ...(object.ContentRange === undefined ? {} : { 'content-range': object.ContentRange }),
    },
    body: body ?? '',
    isBase64Encoded: true,
  };
}

function unlessBeyond(error: Error): undefined {
  if (error.name !== 'InvalidRange') throw error;
}
