import { createVerify, type Verify, verify } from 'node:crypto';
import { type PublicKey, parsePublicKey } from './public-keys.ts';

/** What a file of {@link MAX_SIGNATURE_BYTES} or fewer beside an upload turned out to be. */
export interface DetachedSignature {
  /** Passes the chunks of the image on and sees them. */
  watch(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  /** Which trusted key made it, once the image has gone by. @param sha256 of the image, in hex */
  signer(sha256: string): PublicKey | undefined;
}

/** More than an ECDSA P-256 signature in DER (at most 72) or an Ed25519 signature (64) has. */
export const MAX_SIGNATURE_BYTES = 1_024;

/**
 * A signature that lies beside its image: ECDSA P-256 over the SHA-256 of the file, in DER (`openssl dgst -sha256 -sign`,
 * or a key management service that is given the digest), or Ed25519 over the 32 bytes of that SHA-256 as a message (an
 * Ed25519 signature needs its whole message at once, and an image is only seen going by).
 * @param trusted public keys in PEM
 */
export function detachedSignature(signature: Uint8Array, trusted: readonly string[]): DetachedSignature {
  const candidates = trusted.map(parsePublicKey).map((publicKey) => ({ publicKey, verifier: createVerify('sha256') }));
  return {
    async *watch(chunks) {
      for await (const chunk of chunks) {
        for (const { verifier } of candidates) verifier.update(chunk);
        yield chunk;
      }
    },
    signer: (sha256) => candidates.find((candidate) => isMadeBy(candidate, signature, sha256))?.publicKey,
  };
}

function isMadeBy(
  { publicKey: { key, scheme }, verifier }: { publicKey: PublicKey; verifier: Verify },
  signature: Uint8Array,
  sha256: string,
): boolean {
  try {
    if (scheme === 'Ed25519') return verify(null, Buffer.from(sha256, 'hex'), key, signature);
    return verifier.verify(key, signature);
  } catch {
    return false;
  }
}
