import {
  CopyObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  NoSuchKey,
  NotFound,
  S3Client,
} from '@aws-sdk/client-s3';
import { MAX_SIGNATURE_BYTES } from '../../core/image/index.ts';
import { signatureKey } from '../../core/protocol/index.ts';
import type { Upload } from './upload-event.ts';

const client = new S3Client({});

export interface OpenUpload {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** User metadata; keys in lower case without `x-amz-meta-`. */
  readonly metadata: Readonly<Record<string, string>>;
  close(): void;
}

/** Opens the exact version that the event refers to. */
export async function openUpload({ bucket, key, versionId, etag }: Upload): Promise<OpenUpload> {
  const object = await client.send(
    new GetObjectCommand({ Bucket: bucket, Key: key, IfMatch: etag, ...(versionId && { VersionId: versionId }) }),
  );
  const body = object.Body;
  if (body === undefined) throw new Error(`S3 answered ${key} without a body.`);
  const stream = body as NodeJS.ReadableStream & AsyncIterable<Uint8Array> & { destroy(): void };
  return { chunks: stream, metadata: object.Metadata ?? {}, close: () => stream.destroy() };
}

/** User metadata of the exact version that the event refers to; keys in lower case without `x-amz-meta-`. */
export async function readMetadata({ bucket, key, versionId }: Upload): Promise<Readonly<Record<string, string>>> {
  const { Metadata: metadata } = await client.send(
    new HeadObjectCommand({ Bucket: bucket, Key: key, ...(versionId && { VersionId: versionId }) }),
  );
  return metadata ?? {};
}

/** The newest version of an upload; undefined if there is none. */
export async function findUpload(bucket: string, key: string): Promise<Upload | undefined> {
  const object = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key })).catch((error: unknown) => {
    if (error instanceof NotFound) return undefined;
    throw error;
  });
  if (object === undefined) return undefined;
  const { ContentLength: sizeBytes, ETag: etag, VersionId: versionId, LastModified: uploadedAt } = object;
  if (sizeBytes === undefined || etag === undefined || uploadedAt === undefined)
    throw new Error(`S3 answered ${key} without its size, ETag or date.`);
  return { bucket, key, sizeBytes, etag: etag.replaceAll('"', ''), versionId, uploadedAt, putBy: null, putFrom: null };
}

/** The signature file beside an upload; undefined if there is none, empty if the file is too long to be a signature. */
export async function readSignature({ bucket, key }: Upload): Promise<Uint8Array | undefined> {
  const command = new GetObjectCommand({ Bucket: bucket, Key: signatureKey(key) });
  const object = await client.send(command).catch((error: unknown) => {
    if (error instanceof NoSuchKey) return undefined;
    throw error;
  });
  if (object?.Body === undefined) return undefined;
  if ((object.ContentLength ?? 0) <= MAX_SIGNATURE_BYTES) return object.Body.transformToByteArray();
  (object.Body as unknown as { destroy(): void }).destroy();
  return new Uint8Array();
}

/** Copies exactly the verified bytes: if the object has changed since, its ETag differs and the copy fails. */
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
      // Copying tags takes rights that the function has not, so a tagged upload would be refused.
      TaggingDirective: 'REPLACE',
    }),
  );
}
