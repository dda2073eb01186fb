import { parsePublicKey } from '../image/index.ts';
import { type Models, settingsOf } from './model-settings.ts';
import { type Signing, signingOf } from './signing-settings.ts';

/** What a registered release keeps of its signature. */
export interface KeptSignature {
  /** Digest of the trusted key that signed it; null if none did. */
  readonly signing_key: string | null;
  readonly signature_expires_at: Date | null;
}

/** Digests of all keys whose signatures count: those of secure boot keys, and of the keys for manifests. */
export const trustedKeys = ({ trustedKeyDigests, trustedPublicKeys }: Signing): string[] => [
  ...trustedKeyDigests,
  ...trustedPublicKeys.map((pem) => parsePublicKey(pem).digest),
];

/** True if one of the keys signed the release and the signature has not expired. */
export const isSignatureValid = (release: KeptSignature, trusted: readonly string[], now: Date): boolean =>
  describeInvalid(release, trusted, now) === undefined;

/** What the settings say about the releases of a model. */
export interface TrustRule {
  /** Says why a registered release must not be sent now; null if it may be. */
  whyDistrusted(deviceModel: string, release: KeptSignature, now: Date): string | null;
  /** True if devices of the model boot images with a lower anti-rollback counter. */
  bootsLowerCounter(deviceModel: string): boolean;
}

/** What decides whether a registered release may be sent. */
export interface SendableRelease extends KeptSignature {
  readonly device_model: string;
  readonly version: string;
  /** Null: it was not revoked. */
  readonly revoked_reason: string | null;
}

/** Says why a registered release must not be sent now, as a sentence about it; undefined if it may be. */
export function whyNotSendable(release: SendableRelease, trust: TrustRule, now: Date): string | undefined {
  const { version, device_model: model, revoked_reason: revoked } = release;
  if (revoked !== null) return `release ${version} was revoked: ${revoked}`;
  const distrust = trust.whyDistrusted(model, release, now);
  return distrust === null ? undefined : `release ${version} is not trusted: ${distrust}`;
}

export const NO_SIGNATURE_REQUIRED: TrustRule = { whyDistrusted: () => null, bootsLowerCounter: () => false };

/**
 * The rule by which the settings trust releases. It is applied again whenever a release is assigned, sent or fetched, so
 * that a key that was withdrawn, or a signature that has expired, has an effect on releases that are registered.
 */
export function trustRule(models: Models, signing: Signing): TrustRule {
  const signingFor = (deviceModel: string) => signingOf(signing, settingsOf(models, deviceModel));
  return {
    whyDistrusted: (deviceModel, release, now) => {
      const ofModel = signingFor(deviceModel);
      if (!ofModel.requireSignedFirmware) return null;
      return describeInvalid(release, trustedKeys(ofModel), now) ?? null;
    },
    bootsLowerCounter: (deviceModel) => signingFor(deviceModel).allowLowerSecureVersion,
  };
}

function describeInvalid(
  { signing_key: key, signature_expires_at: expiry }: KeptSignature,
  trusted: readonly string[],
  now: Date,
): string | undefined {
  if (key === null) return 'no trusted key signed it';
  if (!trusted.includes(key)) return `its signing key ${key} was withdrawn`;
  return expiry !== null && expiry <= now ? `its signature expired on ${expiry.toISOString()}` : undefined;
}
