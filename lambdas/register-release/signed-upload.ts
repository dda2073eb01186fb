import { parseUploadKey, settingsOf, signedUploadKey, signingOf } from '../../core/policy/index.ts';
import { findUpload } from './object-store.ts';
import type { RegistrationSettings } from './register-upload.ts';
import type { Upload } from './upload-event.ts';

/**
 * The upload that an object is about: itself, or where it is a detached signature the image that it lies beside, which is
 * looked at again. Undefined for a signature that nothing waits for: its image is not there yet and will look for it, or
 * no key is trusted that could have made it.
 */
export async function findDescribedUpload(object: Upload, settings: RegistrationSettings): Promise<Upload | undefined> {
  const key = signedUploadKey(object.key);
  if (key === undefined) return object;
  const named = parseUploadKey(key);
  if (named === undefined) return undefined;
  const { trustedPublicKeys } = signingOf(settings.signing, settingsOf(settings.models, named.deviceModel));
  return trustedPublicKeys.length === 0 ? undefined : findUpload(object.bucket, key);
}
