import { createHash, createVerify, type VerifyKeyObjectInput } from 'node:crypto';
import type { ByteReader } from './byte-reader.ts';

export type SignedDigest = 'sha256' | 'sha384';

/**
 * The bytes of a file up to a point that is known only once it is reached, with what it takes to verify signatures over
 * them. Node.js verifies a signature over bytes that it has hashed itself, never over a digest, and a verifier is used up
 * by its first key; so there is one for each signature that may come, all fed while the file streams by.
 */
export class SignedBytes {
  readonly #hashes = { sha256: createHash('sha256'), sha384: createHash('sha384') };
  readonly #verifiers;
  #closed = false;

  /** @param reader of which nothing was taken yet @param signatures how many may come */
  constructor(reader: ByteReader, signatures: number) {
    const verifiers = (digest: SignedDigest) => Array.from({ length: signatures }, () => createVerify(digest));
    this.#verifiers = { sha256: verifiers('sha256'), sha384: verifiers('sha384') };
    const sinks = [...Object.values(this.#hashes), ...Object.values(this.#verifiers).flat()];
    reader.observe((chunk) => {
      if (!this.#closed) for (const sink of sinks) sink.update(chunk);
    });
  }

  /** What follows is not signed. */
  close(): void {
    this.#closed = true;
  }

  digest(algorithm: SignedDigest): Buffer {
    return this.#hashes[algorithm].copy().digest();
  }

  /** @returns false also for a key or signature that is none @throws Error when asked more often than announced */
  isSignedBy(key: VerifyKeyObjectInput, signature: Buffer, algorithm: SignedDigest): boolean {
    const verifier = this.#verifiers[algorithm].pop();
    if (verifier === undefined) throw new Error(`There is no ${algorithm} verifier left.`);
    try {
      return verifier.verify(key, signature);
    } catch {
      return false;
    }
  }
}
