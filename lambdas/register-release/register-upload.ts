import type { Sql } from '../../core/database.ts';
import { ESP8266 } from '../../core/esp-image/chips.ts';
import { FORMAT_MAX_BYTES, type Inspection, inspectImage } from '../../core/esp-image/inspect-image.ts';
import { type Models, settingsOf } from '../../core/model-settings.ts';
import { readUploadKey, releaseKey, UPLOAD_PATTERN } from '../../core/object-keys.ts';
import {
  expectedChip,
  judgeFit,
  type ReleaseRefusal,
  readReleaseNotes,
  versionWarnings,
} from '../../core/release-policy.ts';
import { claimModelChip, findReleaseChecksum, insertRelease } from '../../core/releases.ts';
import { copyToReleases, openUpload } from './object-store.ts';
import type { Upload } from './upload-event.ts';

export type RegistrationOutcome =
  | {
      readonly kind: 'registered' | 'already-registered';
      readonly version: string;
      readonly deviceModel: string;
      readonly sha256: string;
    }
  | { readonly kind: 'ignored' }
  | { readonly kind: 'rejected'; readonly verdict: string; readonly message: string; readonly image: object };

const reject = ({ verdict, message }: ReleaseRefusal, image: object = {}): RegistrationOutcome => ({
  kind: 'rejected',
  verdict,
  message,
  image,
});

/** Verifies an upload, copies what it verified to its content address, and makes it a release. Can be repeated. */
export async function registerUpload(
  sql: Sql,
  upload: Upload,
  models: Models,
  now: Date,
): Promise<RegistrationOutcome> {
  const named = readUploadKey(upload.key);
  if (named === undefined)
    return upload.key.toLowerCase().endsWith('.bin') ? reject(misplaced(upload.key)) : { kind: 'ignored' };
  const { version, deviceModel } = named;
  const settings = settingsOf(models, deviceModel);
  const knownChip = expectedChip(deviceModel, settings);

  const { inspection, metadata } = await inspectUpload(upload, settings.allowWithoutDescriptor, knownChip === ESP8266);
  const { image, sha256 } = inspection;
  if (inspection.verdict !== 'ACCEPT' || image === null || sha256 === null) return reject(inspection);
  const notes = readReleaseNotes(metadata);
  if ('verdict' in notes) return reject(notes, image);
  const misfit = judgeFit(image, upload.sizeBytes, deviceModel, knownChip ?? image.chip, settings);
  if (misfit !== undefined) return reject(misfit, image);

  const known = await findReleaseChecksum(sql, deviceModel, version);
  if (known !== undefined) return repeated(known, sha256, version, deviceModel);
  const chip = await claimModelChip(sql, deviceModel, image.chip);
  const firstWasOther = judgeFit(image, upload.sizeBytes, deviceModel, knownChip ?? chip, settings);
  if (firstWasOther !== undefined) return reject(firstWasOther, image);

  const objectKey = releaseKey(sha256);
  await copyToReleases(upload, objectKey);
  const inserted = await insertRelease(
    sql,
    {
      version,
      deviceModel,
      objectKey,
      sizeBytes: upload.sizeBytes,
      sha256,
      chip: image.chip,
      projectName: image.descriptor?.projectName ?? null,
      appVersion: image.descriptor?.version ?? null,
      ...notes,
      // A signature block was seen; that it is a trusted key's is not verified, so nothing is claimed.
      isSigned: false,
      image,
      warnings: [...inspection.warnings, ...versionWarnings(version, image)],
      uploadedKey: upload.key,
    },
    now,
  );
  if (inserted) return { kind: 'registered', version, deviceModel, sha256 };
  return repeated((await findReleaseChecksum(sql, deviceModel, version)) ?? sha256, sha256, version, deviceModel);
}

/** What is over the limit is not even opened. */
async function inspectUpload(
  upload: Upload,
  allowWithoutDescriptor: boolean,
  acceptEsp8266: boolean,
): Promise<{ inspection: Inspection; metadata: Readonly<Record<string, string>> }> {
  const options = { sizeBytes: upload.sizeBytes, allowWithoutDescriptor, acceptEsp8266 };
  if (upload.sizeBytes > FORMAT_MAX_BYTES) return { inspection: await inspectImage(nothing(), options), metadata: {} };
  const { chunks, metadata, close } = await openUpload(upload);
  try {
    return { inspection: await inspectImage(chunks, options), metadata };
  } finally {
    close();
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

function repeated(known: string, sha256: string, version: string, deviceModel: string): RegistrationOutcome {
  if (known === sha256) return { kind: 'already-registered', version, deviceModel, sha256 };
  const message = `${deviceModel} ${version} is registered with other bytes (SHA-256 ${known}, this one ${sha256}); a release never changes: upload it under a new version`;
  return reject({ verdict: 'VERSION_EXISTS', message });
}

function misplaced(key: string): ReleaseRefusal {
  return {
    verdict: 'WRONG_PATH',
    message: `"${key}" is not where releases are looked for; upload it to ${UPLOAD_PATTERN}, for example firmware/1.2.0/esp32-s3.bin`,
  };
}
