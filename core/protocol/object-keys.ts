import { normalizeModel } from './model-names.ts';

/** Prefix of uploaded images: `firmware/{version}/{model}.bin`. */
export const UPLOADS_PREFIX = 'firmware/';
/**
 * Prefix of released images, named by their SHA-256. They are written once, never overwritten, and served to devices.
 */
export const RELEASES_PREFIX = 'releases/';

export const uploadKey = (version: string, model: string): string => `${UPLOADS_PREFIX}${version}/${model}.bin`;

export const UPLOAD_PATTERN = uploadKey('{version}', '{model}');

/** Lies under the prefix that only the service writes to, so that its events are not mistaken for uploads. */
export const IDLE_MARKER_KEY = `${RELEASES_PREFIX}idle-marker.json`;

export const releaseKey = (sha256: string): string => `${RELEASES_PREFIX}${sha256}.bin`;

/** Version and model of an upload; undefined if the key does not have the expected form. */
export function parseUploadKey(key: string): { version: string; deviceModel: string } | undefined {
  const match = /^firmware\/([A-Za-z0-9][A-Za-z0-9._+-]{0,63})\/([A-Za-z0-9][A-Za-z0-9._-]{0,63})\.bin$/.exec(key);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return { version: match[1], deviceModel: normalizeModel(match[2]) };
}

/** Name of the metadata of an upload that says which request of the API it belongs to. */
export const UPLOAD_TOKEN = 'upload-token';

const SIGNATURE_SUFFIX = '.sig';

/** Key of the detached signature of an upload. */
export const signatureKey = (uploadKey: string): string => `${uploadKey}${SIGNATURE_SUFFIX}`;

/** Key of the upload that a detached signature belongs to; undefined for any other key. */
export function signedUploadKey(key: string): string | undefined {
  return key.endsWith(SIGNATURE_SUFFIX) ? key.slice(0, -SIGNATURE_SUFFIX.length) : undefined;
}

/** Maximum lifetime of a presigned URL in seconds; the bucket refuses URLs with a longer one. */
export const PRESIGNED_SECONDS = 3_600;
