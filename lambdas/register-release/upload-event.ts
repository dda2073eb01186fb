import * as z from 'zod';

/** S3's `Object Created` as EventBridge delivers it; the key is plain there, not URL-encoded. */
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

/** One version of one object, as it was when the event was made. */
export interface Upload {
  readonly bucket: string;
  readonly key: string;
  readonly sizeBytes: number;
  /** Without quotes. */
  readonly etag: string;
  readonly versionId: string | undefined;
  readonly uploadedAt: Date;
}

/** @throws ZodError for anything that is not such an event: a bug in the template, to be kept in the dead-letter queue */
export function parseUploadEvent(body: string): Upload {
  const { time, detail } = objectCreated.parse(JSON.parse(body));
  const { key, size, etag, 'version-id': versionId } = detail.object;
  return { bucket: detail.bucket.name, key, sizeBytes: size, etag, versionId, uploadedAt: new Date(time) };
}
