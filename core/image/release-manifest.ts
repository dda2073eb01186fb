import { type KeyObject, sign, verify } from 'node:crypto';
import { type PublicKey, parsePublicKey } from './public-keys.ts';

/** What the owner of a signing key states about an image: which release it is, and until when it may be sent. */
export interface ReleaseManifest {
  readonly model: string;
  readonly version: string;
  /** Of the image, in lower-case hex. */
  readonly sha256: string;
  /** Bytes of the image. */
  readonly size: number;
  /** Anti-rollback counter of the image; 0 if it has none. */
  readonly secureVersion: number;
  /** Oldest version that is updated directly; null: any version. */
  readonly minVersion: string | null;
  /** From this second on the signature is not valid; null: it has no end. */
  readonly expires: Date | null;
}

/** A signature file: the manifest, and a signature over its text. Nothing is verified yet. */
export interface SignedManifest {
  readonly manifest: ReleaseManifest;
  /** The exact bytes that are signed: printable ASCII without a line break. */
  readonly text: string;
  /** In base64. */
  readonly signature: string;
}

/** Longer than any signature file of this form. */
export const MAX_SIGNATURE_BYTES = 1_024;

const NAME = '[A-Za-z0-9][A-Za-z0-9._+-]{0,63}';
/** One text for each manifest: fixed order, single spaces, no leading zeros. A member that is absent is left out. */
const MANIFEST = new RegExp(
  `^paku-ota-release-1 model=([a-z0-9][a-z0-9._-]{0,63}) version=(${NAME}) sha256=([0-9a-f]{64}) size=([1-9]\\d{0,8})` +
    ` secure_version=(0|[1-9]\\d{0,9})(?: min_version=(${NAME}))?(?: expires=(\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ))?$`,
);
const SIGNATURE_FILE = /^([\x20-\x7e]+)\n([A-Za-z0-9+/]+={0,2})\n?$/;

/** The time in ISO 8601 in UTC without a fraction, as a manifest has it. */
const instant = (time: Date) => `${time.toISOString().slice(0, 19)}Z`;

/** @throws Error if the manifest cannot be written in this form */
export function formatManifest(manifest: ReleaseManifest): string {
  const { model, version, sha256, size, secureVersion, minVersion, expires } = manifest;
  const text = [
    `paku-ota-release-1 model=${model} version=${version} sha256=${sha256} size=${size} secure_version=${secureVersion}`,
    ...(minVersion === null ? [] : [`min_version=${minVersion}`]),
    ...(expires === null ? [] : [`expires=${instant(expires)}`]),
  ].join(' ');
  if (parseManifest(text) === undefined)
    throw new Error(`"${text}" is not a manifest: names have letters, digits and . _ + -, at most 64 characters`);
  return text;
}

/** @returns undefined if the text does not have the form of a manifest, to the last character */
export function parseManifest(text: string): ReleaseManifest | undefined {
  const [, model, version, sha256, size, secureVersion, minVersion, until] = MANIFEST.exec(text) ?? [];
  if (model === undefined || version === undefined || sha256 === undefined) return undefined;
  const expires = until === undefined ? null : new Date(until);
  // Also false for a day that its month does not have.
  if (expires !== null && (Number.isNaN(expires.getTime()) || instant(expires) !== until)) return undefined;
  const numbers = { size: Number(size), secureVersion: Number(secureVersion) };
  return { model, version, sha256, ...numbers, minVersion: minVersion ?? null, expires };
}

/**
 * Parses a signature file: the manifest on the first line, its signature in base64 on the second.
 * @returns undefined for anything else
 */
export function parseSignatureFile(bytes: Uint8Array): SignedManifest | undefined {
  if (bytes.length > MAX_SIGNATURE_BYTES) return undefined;
  const [, text, signature] = SIGNATURE_FILE.exec(Buffer.from(bytes).toString('latin1')) ?? [];
  const manifest = text === undefined ? undefined : parseManifest(text);
  if (text === undefined || signature === undefined || manifest === undefined) return undefined;
  return { manifest, text, signature };
}

/**
 * The trusted key that signed the text of the manifest: ECDSA P-256 over its SHA-256, in DER, or Ed25519 over the text
 * itself. Undefined if there is none.
 * @param trusted public keys in PEM
 */
export function signerOf({ text, signature }: SignedManifest, trusted: readonly string[]): PublicKey | undefined {
  const [signed, bytes] = [Buffer.from(text, 'latin1'), Buffer.from(signature, 'base64')];
  return trusted.map(parsePublicKey).find(({ key, scheme }) => {
    try {
      return verify(scheme === 'Ed25519' ? null : 'sha256', signed, key, bytes);
    } catch {
      return false;
    }
  });
}

/** The signature file of a manifest. @param key private, P-256 or Ed25519 */
export function signManifest(manifest: ReleaseManifest, key: KeyObject): string {
  const text = formatManifest(manifest);
  const signature = sign(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', Buffer.from(text, 'latin1'), key);
  return `${text}\n${signature.toString('base64')}\n`;
}
