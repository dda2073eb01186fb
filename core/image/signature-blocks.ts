import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { BLOCK_BYTES, CRC_OFFSET, type Scheme, schemeOf } from './signature-scheme.ts';
import type { SignedBytes } from './signed-bytes.ts';
import { hex, ImageRejection } from './verdicts.ts';

/**
 * A block of a secure boot v2 sector that signs this file: intact, with the right digest, and verified under its own
 * key.
 */
export interface SignatureBlock {
  readonly scheme: Scheme['name'];
  /** SHA-256 of the public key as eFuse holds it (the ESP32-C2 holds only half of it), in hex. */
  readonly keyDigest: string;
}

export const SECTOR_BYTES = 4096;
/** Maximum blocks per sector. */
export const BLOCKS = 3;
const MAGIC = 0xe7;

const blocksOf = (sector: Buffer): Buffer[] =>
  Array.from({ length: BLOCKS }, (_, index) => sector.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES));

export const isSignatureSector = (sector: Buffer): boolean =>
  sector.length === SECTOR_BYTES && blocksOf(sector).some((block) => block[0] === MAGIC);

/**
 * Reads up to three blocks of 1,216 bytes, followed by FF (ESP-IDF, secure-boot-v2.rst, "Signature Block Format"). Each
 * block must sign these bytes. Anyone can make such a block; its digest tells whose key it is.
 * @throws ImageRejection
 */
export function readSignatureSector(sector: Buffer, signed: SignedBytes): SignatureBlock[] {
  refuseUnblank(sector.subarray(BLOCKS * BLOCK_BYTES));
  return blocksOf(sector).flatMap((block, index) => {
    if (isBlank(block)) return [];
    const scheme = readScheme(block, index);
    refuseOtherDigest(block, index, signed.digest(scheme.digest));
    const keyDigest = createHash('sha256')
      .update(block.subarray(...scheme.key))
      .digest('hex');
    if (!isVerified(block, scheme, signed)) throw unverified(index, scheme, keyDigest);
    return [{ scheme: scheme.name, keyDigest }];
  });
}

const isBlank = (bytes: Buffer): boolean => bytes.every((byte) => byte === 0xff);

function refuseUnblank(rest: Buffer): void {
  if (isBlank(rest)) return;
  throw new ImageRejection(
    'SIGNATURE_CRC',
    'the signature sector does not end in 0xff: it is damaged; sign and upload again',
  );
}

function readScheme(block: Buffer, index: number): Scheme {
  const scheme = schemeOf(block);
  const damage = damageOf(block, scheme);
  if (damage === undefined && scheme !== undefined) return scheme;
  throw new ImageRejection('SIGNATURE_CRC', `signature block ${index} ${damage}: it is damaged; sign and upload again`);
}

function damageOf(block: Buffer, scheme: Scheme | undefined): string | undefined {
  const [stored, calculated] = [block.readUInt32LE(CRC_OFFSET), crc32(block.subarray(0, CRC_OFFSET))];
  if (block[0] !== MAGIC) return `begins with ${hex(block.readUInt8(0))}, expected 0xe7`;
  if (stored !== calculated) return `has CRC ${hex(stored)}, calculated ${hex(calculated)}`;
  if (scheme === undefined)
    return `has an unknown scheme (version ${block[1]}), expected RSA-3072 or ECDSA on P-192, P-256 or P-384`;
  const isReserved = scheme.reserved.every((range) => block.subarray(...range).every((byte) => byte === 0));
  return isReserved ? undefined : 'has bytes other than 0 in reserved places';
}

function refuseOtherDigest(block: Buffer, index: number, calculated: Buffer): void {
  const stored = block.subarray(4, 4 + calculated.length);
  if (stored.equals(calculated)) return;
  throw new ImageRejection(
    'SIGNATURE_DIGEST',
    `signature block ${index} is for an image with digest ${stored.toString('hex')}, this one has ${calculated.toString('hex')}: sign it again after the last change`,
  );
}

function isVerified(block: Buffer, scheme: Scheme, signed: SignedBytes): boolean {
  try {
    const { key, signature } = scheme.read(block);
    return signed.isSignedBy(key, signature, scheme.digest);
  } catch {
    // The bytes are not a public key.
    return false;
  }
}

const unverified = (index: number, { name }: Scheme, keyDigest: string): ImageRejection =>
  new ImageRejection(
    'SIGNATURE_INVALID',
    `signature block ${index} does not verify under the ${name} key that it contains (digest ${keyDigest}): no device with secure boot accepts it; sign and upload again`,
  );
