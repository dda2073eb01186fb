import type { ParsedImage, Warning } from '../image/index.ts';
import { parsePublicKey } from '../image/index.ts';
import type { ReleaseRefusal } from './release-policy.ts';
import type { Signing } from './signing-settings.ts';

/** The trusted key under which a signature was verified. */
export interface SignedBy {
  readonly kind: 'secure-boot-v2' | 'detached';
  readonly scheme: string;
  /** As in the setting `trustedKeyDigests`; for a detached signature, the SHA-256 of the key's SubjectPublicKeyInfo. */
  readonly keyDigest: string;
}

/**
 * Result for the file beside the image: `none` (no file, or no key is trusted for detached signatures), `unverified`,
 * or the key that made the signature.
 */
export type Detached = 'none' | 'unverified' | SignedBy;

export interface SignatureFinding {
  readonly signedBy: SignedBy | null;
  /** Says why the image counts as unsigned. */
  readonly warnings: readonly Warning[];
  readonly refusal: ReleaseRefusal | undefined;
}

/**
 * Checks the signature of an image against the keys that its model trusts. A signature in the image takes precedence
 * over a detached one.
 */
export function evaluateSignature(
  image: ParsedImage,
  detached: Detached,
  deviceModel: string,
  signing: Signing,
): SignatureFinding {
  const signedBy = trustedBlock(image, signing) ?? (typeof detached === 'object' ? detached : null);
  if (signedBy !== null) return { signedBy, warnings: [], refusal: undefined };
  const found = describeFound(image, detached);
  const trusted = describeTrusted(signing);
  const code = found.length === 0 ? 'UNSIGNED' : 'UNTRUSTED_SIGNATURE';
  const finding = found.length === 0 ? 'the image is not signed' : found.join('; ');
  const message = `${finding}; ${trusted === '' ? 'no key is trusted' : `trusted are ${trusted}`}`;
  const isNothingToSay = found.length === 0 && trusted === '';
  return {
    signedBy: null,
    warnings: isNothingToSay ? [] : [{ code, message }],
    refusal: signing.requireSignedFirmware
      ? { verdict: code, message: `model ${deviceModel} requires signed firmware: ${message}; ${remedy(signing)}` }
      : undefined,
  };
}

function trustedBlock({ signatureBlocks }: ParsedImage, { trustedKeyDigests }: Signing): SignedBy | null {
  const block = signatureBlocks.find(({ keyDigest }) => trustedKeyDigests.includes(keyDigest));
  return block === undefined ? null : { kind: 'secure-boot-v2', ...block };
}

function describeFound({ signature, signatureBlocks }: ParsedImage, detached: Detached): string[] {
  const blocks = signatureBlocks.map(({ scheme, keyDigest }) => `${scheme} key ${keyDigest}`);
  return [
    ...(blocks.length > 0 ? [`the image is signed by ${blocks.join(' and ')}`] : []),
    ...(signature === 'secure-boot-v1'
      ? ['the image has a secure boot v1 signature, which does not contain its key and is not verified']
      : []),
    ...(detached === 'unverified' ? ['the detached signature was not made for these bytes by a trusted key'] : []),
  ];
}

function describeTrusted({ trustedKeyDigests, trustedPublicKeys }: Signing): string {
  const keys = trustedPublicKeys.map(parsePublicKey).map(({ scheme, digest }) => `${scheme} ${digest}`);
  return [
    ...(trustedKeyDigests.length > 0 ? [`secure boot keys ${trustedKeyDigests.join(', ')}`] : []),
    ...(keys.length > 0 ? [`keys for detached signatures ${keys.join(', ')}`] : []),
  ].join(' and ');
}

const remedy = ({ trustedPublicKeys }: Signing): string =>
  trustedPublicKeys.length === 0
    ? 'sign the image with a trusted key and upload it again'
    : 'sign the image with a trusted key and upload it again, or upload its signature beside it, with its name and .sig';
