import * as z from 'zod';

/** S3's `Object Created` as delivered by EventBridge; its key is not URL-encoded. */
const objectCreated = z.looseObject({
  time: z.iso.datetime(),
  detail: z.looseObject({
    bucket: z.looseObject({ name: z.string() }),
    object: z.looseObject({
      key: z.string(),
      size: z.number().int().nonnegative(),
      etag: z.string(),
      'version-id': z.string().optional(),
    }),
  }),
});

/** One version of an object, as described by the event. */
export interface Upload {
  readonly bucket: string;
  readonly key: string;
  readonly sizeBytes: number;
  /** Without quotes. */
  readonly etag: string;
  readonly versionId: string | undefined;
  readonly uploadedAt: Date;
}

/** @throws ZodError for anything else, which would be a bug in the template; the event goes to the dead-letter queue */
export function parseUploadEvent(body: string): Upload {
  const { time, detail } = objectCreated.parse(JSON.parse(body));
  const { key, size, etag, 'version-id': versionId } = detail.object;
  return { bucket: detail.bucket.name, key, sizeBytes: size, etag, versionId, uploadedAt: new Date(time) };
}
