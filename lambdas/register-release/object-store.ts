import { CopyObjectCommand, GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { Upload } from './upload-event.ts';

const client = new S3Client({});

export interface OpenUpload {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** User metadata, keys in lower case without `x-amz-meta-`. */
  readonly metadata: Readonly<Record<string, string>>;
  close(): void;
}

/** Opens exactly the version that the event was about. */
export async function openUpload({ bucket, key, versionId, etag }: Upload): Promise<OpenUpload> {
  const object = await client.send(
    new GetObjectCommand({ Bucket: bucket, Key: key, IfMatch: etag, ...(versionId && { VersionId: versionId }) }),
  );
  const body = object.Body;
  if (body === undefined) throw new Error(`S3 answered ${key} without a body.`);
  const stream = body as NodeJS.ReadableStream & AsyncIterable<Uint8Array> & { destroy(): void };
  return { chunks: stream, metadata: object.Metadata ?? {}, close: () => stream.destroy() };
}

/** Copies the bytes that were verified, and no others: a version that changed meanwhile fails on its ETag. */
export async function copyToReleases({ bucket, key, versionId, etag }: Upload, releaseKey: string): Promise<void> {
  const path = `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`;
  await client.send(
    new CopyObjectCommand({
      Bucket: bucket,
      Key: releaseKey,
      CopySource: versionId === undefined ? path : `${path}?versionId=${encodeURIComponent(versionId)}`,
      CopySourceIfMatch: etag,
      ContentType: 'application/octet-stream',
      MetadataDirective: 'REPLACE',
    }),
  );
}
