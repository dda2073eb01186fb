import type { Sql } from '../../core/db/index.ts';
import type { ParsedImage } from '../../core/image/index.ts';
import { ESP8266 } from '../../core/image/index.ts';
import { normalizeModel, parseUploadKey, releaseKey, unknownModelWarning } from '../../core/protocol/index.ts';
import {
  evaluateFit,
  evaluateProject,
  evaluateSecureVersion,
  evaluateSignature,
  expectedChip,
  isFolderMarker,
  isMeantAsUpload,
  isSignatureValid,
  type Models,
  parseReleaseNotes,
  type ReleaseNotes,
  type ReleaseRefusal,
  refuseModelAsVersion,
  refusePath,
  type SignatureFinding,
  type Signing,
  settingsOf,
  signingOf,
  trustedKeys,
  versionWarnings,
  warnOfDifferences,
} from '../../core/release-policy/index.ts';
import {
  findEarlierImage,
  findHighestSecureVersion,
  findSignedProject,
  findSignedRelease,
  fixModelChip,
  insertRelease,
  listProjects,
  listReportedModels,
  type NewRelease,
  type SignedRelease,
  storeSignature,
} from '../../core/releases/index.ts';
import { copyToReleases, readSignature } from './object-store.ts';
import { readUpload } from './read-upload.ts';
import type { Upload } from './upload-event.ts';

/** An upload, with who requested it; see `findRequester`. */
export interface RequestedUpload extends Upload {
  readonly requestedBy: string | null;
}

export type RegistrationOutcome =
  | {
      readonly kind: 'registered' | 'already-registered' | 'now-signed';
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

/** The deployment's settings for models and signing. */
export interface RegistrationSettings {
  readonly models: Models;
  readonly signing: Signing;
}

/**
 * Verifies an upload, copies the verified bytes to their content address and registers them as a release. Can be
 * repeated.
 */
export async function registerUpload(
  sql: Sql,
  upload: RequestedUpload,
  deployment: RegistrationSettings,
  now: Date,
): Promise<RegistrationOutcome> {
  if (isFolderMarker(upload) || !isMeantAsUpload(upload.key)) return { kind: 'ignored' };
  const misplaced = refusePath(upload.key);
  if (misplaced !== undefined) return reject(misplaced);
  const named = parseUploadKey(upload.key);
  if (named === undefined) throw new Error(`"${upload.key}" has neither a version and a model nor a reason why not`);
  const { version, deviceModel } = named;
  const models = await listReportedModels(sql);
  if (models.includes(normalizeModel(version))) return reject(refuseModelAsVersion(upload.key, named));
  const settings = settingsOf(deployment.models, deviceModel);
  const signing = signingOf(deployment.signing, settings);
  const knownChip = expectedChip(deviceModel, settings);
  const { allowWithoutDescriptor } = settings;

  const kinds = { allowWithoutDescriptor, acceptEsp8266: knownChip === ESP8266 };
  const { inspection, metadata, signatureFile } = await readUpload(upload, kinds, signing.trustedPublicKeys);
  const { image, sha256 } = inspection;
  if (inspection.verdict !== 'ACCEPT' || image === null || sha256 === null) return reject(inspection);
  const notes = parseReleaseNotes(metadata);
  if ('verdict' in notes) return reject(notes, image);
  const misfit = evaluateFit(image, upload.sizeBytes, deviceModel, knownChip ?? image.chip, settings);
  if (misfit !== undefined) return reject(misfit, image);

  const project = settings.projectName ?? (await findSignedProject(sql, deviceModel));
  const candidate = { ...named, sizeBytes: upload.sizeBytes, sha256, minVersion: notes.minVersion, image, project };
  const signature = evaluateSignature(candidate, signatureFile, signing, now);
  const signedBy = signature.signature?.signedBy ?? null;
  const earlier = await findEarlierImage(sql, deviceModel, version);
  const projects = await listProjects(sql, deviceModel);
  const other = evaluateProject(image, deviceModel, projects, settings.projectName, notes.allow);
  const warnings = [
    ...inspection.warnings,
    ...warnOfModel(deviceModel, models, deployment.models),
    ...(earlier === undefined ? [] : warnOfDifferences({ ...candidate, signedBy }, earlier)),
    ...other.warnings,
  ];
  const release = newRelease(named, upload, { ...inspection, warnings, image, sha256 }, notes, signature);
  const known = await findSignedRelease(sql, deviceModel, version);
  if (known !== undefined) return repeated(sql, known, release, signature.refusal, trustedKeys(signing), now);
  const refusal = signature.refusal ?? (await refuseLower(sql, image, deviceModel, signing)) ?? other.refusal;
  if (refusal !== undefined) {
    // A signature may have been uploaded meanwhile, and its own event may already have been handled.
    const isLate = signatureFile === 'none' && (await hasSignature(upload, signing));
    return isLate ? registerUpload(sql, upload, deployment, now) : reject(refusal, image);
  }
  const chip = await fixModelChip(sql, deviceModel, image.chip);
  const firstWasOther = evaluateFit(image, upload.sizeBytes, deviceModel, knownChip ?? chip, settings);
  if (firstWasOther !== undefined) return reject(firstWasOther, image);

  await copyToReleases(upload, release.objectKey);
  if (await insertRelease(sql, release, now)) return { kind: 'registered', version, deviceModel, sha256 };
  const first = await findSignedRelease(sql, deviceModel, version);
  if (first === undefined) throw new Error(`release ${version} for ${deviceModel} is neither stored nor registered`);
  return repeated(sql, first, release, undefined, trustedKeys(signing), now);
}

interface Verified {
  readonly image: ParsedImage;
  readonly sha256: string;
  readonly warnings: readonly object[];
}

function newRelease(
  { version, deviceModel }: { readonly version: string; readonly deviceModel: string },
  upload: RequestedUpload,
  { image, sha256, warnings }: Verified,
  notes: ReleaseNotes,
  { signature, warnings: signatureWarnings }: SignatureFinding,
): NewRelease {
  return {
    version,
    deviceModel,
    objectKey: releaseKey(sha256),
    sizeBytes: upload.sizeBytes,
    sha256,
    chip: image.chip,
    projectName: image.descriptor?.projectName ?? null,
    appVersion: image.descriptor?.version ?? null,
    ...notes,
    minVersion: signature?.minVersion === undefined ? notes.minVersion : signature.minVersion,
    isSigned: signature !== null,
    signingKey: signature?.signedBy.keyDigest ?? null,
    signatureExpiresAt: signature?.expiresAt ?? null,
    manifest: signature?.manifest ?? null,
    manifestSignature: signature?.manifestSignature ?? null,
    image: { ...image, signedBy: signature?.signedBy ?? null },
    warnings: [...warnings, ...versionWarnings(version, image), ...signatureWarnings],
    uploadedKey: upload.key,
    uploadedVersion: upload.versionId ?? 'null',
    requestedBy: upload.requestedBy,
    putBy: upload.putBy,
    putFrom: upload.putFrom,
  };
}

/** Warns of a model that no device reports, unless the settings name it. */
function warnOfModel(deviceModel: string, reported: readonly string[], models: Models): readonly object[] {
  if (Object.keys(models).some((name) => normalizeModel(name) === deviceModel)) return [];
  const warning = unknownModelWarning(deviceModel, reported);
  return warning === undefined ? [] : [warning];
}

const hasSignature = async (upload: Upload, { trustedPublicKeys }: Signing): Promise<boolean> =>
  trustedPublicKeys.length > 0 && (await readSignature(upload)) !== undefined;

async function refuseLower(
  sql: Sql,
  image: ParsedImage,
  deviceModel: string,
  { allowLowerSecureVersion }: Signing,
): Promise<ReleaseRefusal | undefined> {
  if (allowLowerSecureVersion) return undefined;
  return evaluateSecureVersion(image, deviceModel, await findHighestSecureVersion(sql, deviceModel));
}

/**
 * A release never changes, except that its signature may be uploaded after its image, and that a new signature may take
 * the place of one that no longer holds, or expires earlier. An older signature never does, so that whoever may upload
 * cannot bring it back.
 */
async function repeated(
  sql: Sql,
  known: SignedRelease,
  release: NewRelease,
  refusal: ReleaseRefusal | undefined,
  trusted: readonly string[],
  now: Date,
): Promise<RegistrationOutcome> {
  const { version, deviceModel, sha256, isSigned, minVersion } = release;
  if (known.version !== version) {
    const message = `${deviceModel} ${version} is registered as ${known.version}, which is the same version; upload it under a new version`;
    return reject({ verdict: 'VERSION_EXISTS', message });
  }
  if (known.checksum_sha256 !== sha256) {
    const message = `${deviceModel} ${version} is registered with other bytes (SHA-256 ${known.checksum_sha256}, this one ${sha256}); a release never changes: upload it under a new version, or under the model of its board if it is for another one`;
    return reject({ verdict: 'VERSION_EXISTS', message });
  }
  const done = { kind: 'already-registered', version, deviceModel, sha256 } as const;
  const holds = isSignatureValid(known, trusted, now);
  if (!isSigned) return refusal === undefined || holds ? done : reject(refusal, release.image);
  if (known.min_version !== minVersion) {
    const message = `${deviceModel} ${version} is registered with the minimum version ${known.min_version ?? '(none)'}, its manifest states ${minVersion ?? '(none)'}; a release never changes: upload it under a new version`;
    return reject({ verdict: 'VERSION_EXISTS', message }, release.image);
  }
  return (await storeSignature(sql, release, trusted)) ? { ...done, kind: 'now-signed' } : done;
}
