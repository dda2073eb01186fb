import { createHash, createVerify, type VerifyKeyObjectInput } from 'node:crypto';
import type { ByteReader } from './byte-reader.ts';

export type SignedDigest = 'sha256' | 'sha384';

/**
 * The bytes of a file up to an offset that is known only once it is reached, and the verifiers for signatures over
 * them. Node.js verifies a signature only over bytes that it has hashed itself, not over a digest, and a verifier can
 * be used for one key only. Therefore there is one verifier for each possible signature, and all are fed while the file
 * streams by.
 */
export class SignedBytes {
  readonly #hashes = { sha256: createHash('sha256'), sha384: createHash('sha384') };
  readonly #verifiers;
  #closed = false;

  /**
   * @param reader must be at the start of the file
   * @param signatures maximum number of signatures
   */
  constructor(reader: ByteReader, signatures: number) {
    const verifiers = (digest: SignedDigest) => Array.from({ length: signatures }, () => createVerify(digest));
    this.#verifiers = { sha256: verifiers('sha256'), sha384: verifiers('sha384') };
    const sinks = [...Object.values(this.#hashes), ...Object.values(this.#verifiers).flat()];
    reader.observe((chunk) => {
      if (!this.#closed) for (const sink of sinks) sink.update(chunk);
    });
  }

  /** Bytes after this are not signed. */
  close(): void {
    this.#closed = true;
  }

  digest(algorithm: SignedDigest): Buffer {
    return this.#hashes[algorithm].copy().digest();
  }

  /**
   * @returns false also if the key or the signature is not valid
   * @throws Error if called more often than announced
   */
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
