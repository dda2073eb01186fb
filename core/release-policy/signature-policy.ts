import type { ParsedImage, PublicKey, SignedManifest, Warning } from '../image/index.ts';
import { parsePublicKey } from '../image/index.ts';
import { compareVersions, isSameVersion } from '../protocol/index.ts';
import type { ReleaseRefusal } from './release-policy.ts';
import type { Signing } from './signing-settings.ts';

/** The trusted key that signed a release. */
export interface SignedBy {
  readonly kind: 'secure-boot-v2' | 'manifest';
  readonly scheme: string;
  /** As in the setting `trustedKeyDigests`; for a manifest, the SHA-256 of the key's SubjectPublicKeyInfo. */
  readonly keyDigest: string;
}

/**
 * The file beside an image: `none` (no file, or no key is trusted for manifests), `malformed`, or a manifest with the
 * trusted key that signed it.
 */
export type SignatureFile = 'none' | 'malformed' | (SignedManifest & { readonly signer: PublicKey | undefined });

/** A signature that holds for the release: what is kept of it. */
export interface ReleaseSignature {
  readonly signedBy: SignedBy;
  /** The manifest as it was signed, and its signature in base64; null for a signature in the image. */
  readonly manifest: string | null;
  readonly manifestSignature: string | null;
  readonly expiresAt: Date | null;
  /** The minimum version that the manifest states; undefined for a signature in the image, which states none. */
  readonly minVersion: string | null | undefined;
}

export interface SignatureFinding {
  readonly signature: ReleaseSignature | null;
  /** Says why the image counts as unsigned. */
  readonly warnings: readonly Warning[];
  readonly refusal: ReleaseRefusal | undefined;
}

/** The release that an upload would become. */
export interface CandidateRelease {
  readonly deviceModel: string;
  readonly version: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  /** As the uploader states it beside the image; null: not stated. */
  readonly minVersion: string | null;
  readonly image: ParsedImage;
  /** Project that images of the model embed; undefined if that is not known yet. */
  readonly project: string | undefined;
}

/** The most telling problem gives the verdict. */
const CODES = ['SIGNED_FOR_OTHER', 'EXPIRED_SIGNATURE', 'UNTRUSTED_SIGNATURE'] as const;

interface Problem {
  readonly code: (typeof CODES)[number];
  readonly message: string;
}

/**
 * Checks whether a key that the model trusts signed this release: its manifest, or the image for secure boot. The bytes
 * alone are not enough, because an older release, or that of another model, was signed as well. A manifest takes
 * precedence over a signature in the image.
 */
export function evaluateSignature(
  candidate: CandidateRelease,
  file: SignatureFile,
  signing: Signing,
  now: Date,
): SignatureFinding {
  const byManifest = evaluateManifest(candidate, file, now);
  const byBlock = evaluateBlocks(candidate, signing);
  const signature = [byManifest, byBlock].find(isSignature);
  if (signature !== undefined) return { signature, warnings: [], refusal: undefined };
  const problems = [byManifest, byBlock].flatMap((found) => (found === undefined || isSignature(found) ? [] : found));
  const trusted = describeTrusted(signing);
  const code = CODES.find((each) => problems.some((problem) => problem.code === each)) ?? 'UNSIGNED';
  const finding = problems.map(({ message }) => message).join('; ') || 'the image is not signed';
  const message = `${finding}; ${trusted === '' ? 'no key is trusted' : `trusted are ${trusted}`}`;
  const isNothingToSay = problems.length === 0 && trusted === '';
  return {
    signature: null,
    warnings: isNothingToSay ? [] : [{ code, message }],
    refusal: signing.requireSignedFirmware
      ? {
          verdict: code,
          message: `model ${candidate.deviceModel} requires signed firmware: ${message}; ${remedy(signing)}`,
        }
      : undefined,
  };
}

const isSignature = (found: ReleaseSignature | Problem | undefined): found is ReleaseSignature =>
  found !== undefined && 'signedBy' in found;

function evaluateManifest(
  candidate: CandidateRelease,
  file: SignatureFile,
  now: Date,
): ReleaseSignature | Problem | undefined {
  if (file === 'none') return undefined;
  if (file === 'malformed') {
    const message = 'the signature file is not a signed manifest, which paku-ota release sign makes';
    return { code: 'UNTRUSTED_SIGNATURE', message };
  }
  const { manifest, text, signature, signer } = file;
  if (signer === undefined)
    return { code: 'UNTRUSTED_SIGNATURE', message: 'the manifest was not signed by a trusted key' };
  const signed = `the manifest, which ${signer.scheme} key ${signer.digest} signed,`;
  const differences = differencesOf(candidate, file);
  if (differences.length > 0) return { code: 'SIGNED_FOR_OTHER', message: `${signed} ${differences.join(', ')}` };
  if (manifest.expires !== null && manifest.expires <= now)
    return { code: 'EXPIRED_SIGNATURE', message: `${signed} expired on ${manifest.expires.toISOString()}` };
  return {
    signedBy: { kind: 'manifest', scheme: signer.scheme, keyDigest: signer.digest },
    manifest: text,
    manifestSignature: signature,
    expiresAt: manifest.expires,
    minVersion: manifest.minVersion,
  };
}

/** What the manifest states that is not true of the upload. */
function differencesOf(candidate: CandidateRelease, { manifest }: SignedManifest): string[] {
  const { deviceModel, version, sizeBytes, sha256, minVersion, image } = candidate;
  const compared: [name: string, stated: string | number | null, actual: string | number | null][] = [
    ['model', manifest.model, deviceModel],
    ['version', manifest.version, version],
    ['size', manifest.size, sizeBytes],
    ['sha256', manifest.sha256, sha256],
    ['secure_version', manifest.secureVersion, image.descriptor?.secureVersion ?? 0],
    ...(minVersion === null
      ? []
      : [['min_version', manifest.minVersion, minVersion] as [string, string | null, string]]),
  ];
  const { minVersion: minimum } = manifest;
  const isOrdered = minimum === null || compareVersions(minimum, minimum) !== undefined;
  return [
    ...compared
      .filter(([, stated, actual]) => stated !== actual)
      .map(
        ([name, stated, actual]) => `states ${name} ${stated ?? '(none)'}, but the upload has ${actual ?? '(none)'}`,
      ),
    ...(isOrdered ? [] : [`states min_version ${minimum}, which is not a version like 1.2.0`]),
  ];
}

/**
 * A signature in the image covers its application descriptor, which names a version and a project and no model. Both
 * must be those of the release.
 */
function evaluateBlocks(
  { image, version, project }: CandidateRelease,
  { trustedKeyDigests }: Signing,
): ReleaseSignature | Problem | undefined {
  const block = image.signatureBlocks.find(({ keyDigest }) => trustedKeyDigests.includes(keyDigest));
  if (block === undefined) return describeUntrusted(image);
  const { descriptor } = image;
  const signed = `the image, which ${block.scheme} key ${block.keyDigest} signed,`;
  const other = (what: string): Problem => ({ code: 'SIGNED_FOR_OTHER', message: `${signed} ${what}` });
  if (descriptor === null) return other('embeds no version and no project, so that it could be any release');
  if (!isSameVersion(descriptor.version, version))
    return other(`embeds the version "${descriptor.version}", but is uploaded as ${version}`);
  if (project !== undefined && descriptor.projectName !== project)
    return other(`embeds the project "${descriptor.projectName}", but images of the model embed "${project}"`);
  return {
    signedBy: { kind: 'secure-boot-v2', ...block },
    manifest: null,
    manifestSignature: null,
    expiresAt: null,
    minVersion: undefined,
  };
}

function describeUntrusted({ signature, signatureBlocks }: ParsedImage): Problem | undefined {
  const blocks = signatureBlocks.map(({ scheme, keyDigest }) => `${scheme} key ${keyDigest}`);
  const found = [
    ...(blocks.length > 0 ? [`the image is signed by ${blocks.join(' and ')}`] : []),
    ...(signature === 'secure-boot-v1'
      ? ['the image has a secure boot v1 signature, which does not contain its key and is not verified']
      : []),
  ];
  return found.length === 0 ? undefined : { code: 'UNTRUSTED_SIGNATURE', message: found.join('; ') };
}

function describeTrusted({ trustedKeyDigests, trustedPublicKeys }: Signing): string {
  const keys = trustedPublicKeys.map(parsePublicKey).map(({ scheme, digest }) => `${scheme} ${digest}`);
  return [
    ...(trustedKeyDigests.length > 0 ? [`secure boot keys ${trustedKeyDigests.join(', ')}`] : []),
    ...(keys.length > 0 ? [`keys for manifests ${keys.join(', ')}`] : []),
  ].join(' and ');
}

const remedy = ({ trustedPublicKeys }: Signing): string =>
  trustedPublicKeys.length === 0
    ? 'sign the image with a trusted key and upload it again'
    : 'sign it with a trusted key (paku-ota release sign), and upload the signature file beside the image, with its name and .sig';
