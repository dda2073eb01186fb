import { parseUploadKey, signedUploadKey } from '../../core/protocol/index.ts';
import { isMeantAsUpload, settingsOf, signingOf } from '../../core/release-policy/index.ts';
import { findUpload } from './object-store.ts';
import type { RegistrationSettings } from './register-upload.ts';
import type { Upload } from './upload-event.ts';

/**
 * The upload that an object belongs to: itself, or for a detached signature the image beside it, which is verified
 * again. A signature under `firmware/` that belongs to no image is an upload of its own, which is rejected. Undefined for a
 * signature that needs no action: its image was not uploaded yet and will look for it, or no key
 * is trusted for detached signatures.
 */
export async function findDescribedUpload(object: Upload, settings: RegistrationSettings): Promise<Upload | undefined> {
  const key = signedUploadKey(object.key);
  if (key === undefined) return object;
  const named = parseUploadKey(key);
  if (named === undefined) return isMeantAsUpload(object.key) ? object : undefined;
  const { trustedPublicKeys } = signingOf(settings.signing, settingsOf(settings.models, named.deviceModel));
  return trustedPublicKeys.length === 0 ? undefined : findUpload(object.bucket, key);
}
