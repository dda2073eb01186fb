import * as z from 'zod';

/** Text that is only shown to people. Other text is not recorded, so that an upload is never held up by it. */
const shown = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .regex(/^[\x20-\x7e]+$/)
    .nullable()
    .default(null)
    .catch(null);

/** S3's `Object Created` as delivered by EventBridge; its key is not URL-encoded. */
const objectCreated = z.looseObject({
  time: z.iso.datetime(),
  detail: z.looseObject({
    bucket: z.looseObject({ name: z.string().max(255) }),
    object: z.looseObject({
      key: z.string().max(1024),
      size: z.number().int().nonnegative(),
      etag: z.string().max(256),
      'version-id': z.string().max(1024).optional(),
    }),
    /** Account id of 12 digits, or the name of an AWS service. */
    requester: shown(128),
    'source-ip-address': shown(64),
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
  /** Account or AWS service that put the object; null if the event does not say so, as that of a rescan. */
  readonly putBy: string | null;
  /** IP address from which it was put. */
  readonly putFrom: string | null;
}

/** @throws ZodError for anything else, which would be a bug in the template; the event goes to the dead-letter queue */
export function parseUploadEvent(body: string): Upload {
  const { time, detail } = objectCreated.parse(JSON.parse(body));
  const { key, size, etag, 'version-id': versionId } = detail.object;
  return {
    bucket: detail.bucket.name,
    key,
    sizeBytes: size,
    etag,
    versionId,
    uploadedAt: new Date(time),
    putBy: detail.requester,
    putFrom: detail['source-ip-address'],
  };
}
