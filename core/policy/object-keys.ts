/** Where people put images: `firmware/{version}/{model}.bin`. */
export const UPLOADS_PREFIX = 'firmware/';
/** Where released images lie under their SHA-256; written once, never overwritten, served to devices. */
export const RELEASES_PREFIX = 'releases/';

export const uploadKey = (version: string, model: string): string => `${UPLOADS_PREFIX}${version}/${model}.bin`;

export const UPLOAD_PATTERN = uploadKey('{version}', '{model}');

/** Under the prefix of what the service itself writes: nobody takes events of it for uploads. */
export const IDLE_MARKER_KEY = `${RELEASES_PREFIX}idle-marker.json`;

export const releaseKey = (sha256: string): string => `${RELEASES_PREFIX}${sha256}.bin`;

/** Version and model of an upload, or undefined for a key that is not of the expected form. */
export function parseUploadKey(key: string): { version: string; deviceModel: string } | undefined {
  const match = /^firmware\/([A-Za-z0-9][A-Za-z0-9._+-]{0,63})\/([A-Za-z0-9][A-Za-z0-9._-]{0,63})\.bin$/.exec(key);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return { version: match[1], deviceModel: match[2] };
}

const SIGNATURE_SUFFIX = '.sig';

/** Where the detached signature of an upload lies. */
export const signatureKey = (uploadKey: string): string => `${uploadKey}${SIGNATURE_SUFFIX}`;

/** The key of the upload that a detached signature belongs to, or undefined for any other key. */
export function signedUploadKey(key: string): string | undefined {
  return key.endsWith(SIGNATURE_SUFFIX) ? key.slice(0, -SIGNATURE_SUFFIX.length) : undefined;
}

/** How long a presigned URL of the bucket may live, in seconds; the bucket refuses those that ask for longer. */
export const PRESIGNED_SECONDS = 3_600;
