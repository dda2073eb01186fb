import { HeadObjectCommand, NotFound, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { enqueue } from '../shared/queue.ts';
import type { Services } from './context.ts';

const EXPIRES_SECONDS = 900;

/** The presigned URL accepts any body; a checksum computed here would be that of an empty body. */
const client = new S3Client({ requestChecksumCalculation: 'WHEN_REQUIRED' });

/** Uploads to the firmware bucket. A rescan puts an upload on the queue that receives S3's own events. */
export const bucketUploads = (bucket: string, uploadQueueUrl: string): Services['uploads'] => ({
  async presign(key, metadata) {
    const headers = Object.fromEntries(Object.entries(metadata).map(([name, value]) => [`x-amz-meta-${name}`, value]));
    const command = new PutObjectCommand({ Bucket: bucket, Key: key, Metadata: { ...metadata } });
    const url = await getSignedUrl(client, command, {
      expiresIn: EXPIRES_SECONDS,
      unhoistableHeaders: new Set(Object.keys(headers)),
    });
    return { url, headers };
  },
  async rescan(key, now) {
    const object = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key })).catch((error: unknown) => {
      if (error instanceof NotFound) return undefined;
      throw error;
    });
    if (object === undefined) return false;
    const { ContentLength: size = 0, ETag: etag = '', VersionId: version } = object;
    const detail = {
      bucket: { name: bucket },
      object: {
        key,
        size,
        etag: etag.replaceAll('"', ''),
        ...(version === undefined ? {} : { 'version-id': version }),
      },
    };
    await enqueue(uploadQueueUrl, [{ time: now.toISOString(), detail }]);
    return true;
  },
});
