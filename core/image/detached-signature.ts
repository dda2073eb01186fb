import { createVerify, type Verify, verify } from 'node:crypto';
import { type PublicKey, parsePublicKey } from './public-keys.ts';

/** Verifies a detached signature while the image is being read. */
export interface DetachedSignature {
  /** Reads the chunks of the image and passes them on. */
  watch(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  /**
   * The trusted key that made the signature, after the whole image was read; undefined if there is none.
   * @param sha256 of the image, in hex
   */
  signer(sha256: string): PublicKey | undefined;
}

/** Longer than an ECDSA P-256 signature in DER (at most 72 bytes) or an Ed25519 signature (64 bytes). */
export const MAX_SIGNATURE_BYTES = 1_024;

/**
 * A signature in a file beside its image: ECDSA P-256 over the SHA-256 of the file, in DER (`openssl dgst -sha256
 * -sign`, or a key management service that is given the digest), or Ed25519 with the 32 bytes of that SHA-256 as the
 * message. An Ed25519 signature needs its whole message at once, and the image is streamed.
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
