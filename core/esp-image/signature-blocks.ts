import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { hex, Refusal } from './verdicts.ts';

/** A block of a secure boot v2 sector, which is whole and states the digest of this file. */
export interface SignatureBlock {
  readonly scheme: 'RSA-3072' | 'ECDSA-P192' | 'ECDSA-P256' | 'ECDSA-P384';
  /** SHA-256 of the public key as eFuse holds it (the ESP32-C2 only half of it), in hex. */
  readonly keyDigest: string;
}

/** Digests of the file before the sector. */
export interface FileDigests {
  readonly sha256: Buffer;
  readonly sha384: Buffer;
}

export const SECTOR_BYTES = 4096;
const BLOCK_BYTES = 1216;
const BLOCKS = 3;
const CRC_OFFSET = 1196;
const MAGIC = 0xe7;
const RSA = 2;
const ECDSA = 3;
const CURVE_OFFSET = 36;
const CURVE_P192 = 1;

const blocksOf = (sector: Buffer): Buffer[] =>
  Array.from({ length: BLOCKS }, (_, index) => sector.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES));

export const isSignatureSector = (sector: Buffer): boolean =>
  sector.length === SECTOR_BYTES && blocksOf(sector).some((block) => block[0] === MAGIC);

/**
 * Up to three blocks of 1,216 bytes, the rest FF (ESP-IDF, secure-boot-v2.rst, "Signature Block Format"). Their CRC and
 * digest are checked; the signature itself is for the chip.
 * @throws Refusal
 */
export function readSignatureSector(sector: Buffer, digests: FileDigests): SignatureBlock[] {
  return blocksOf(sector).flatMap((block, index) => {
    if (block.every((byte) => byte === 0xff)) return [];
    refuseDamaged(block, index);
    refuseOtherDigest(block, index, digests);
    return [{ scheme: schemeOf(block), keyDigest: createHash('sha256').update(publicKeyOf(block)).digest('hex') }];
  });
}

function refuseDamaged(block: Buffer, index: number): void {
  const stored = block.readUInt32LE(CRC_OFFSET);
  const calculated = crc32(block.subarray(0, CRC_OFFSET));
  const version = block.readUInt8(1);
  const damage =
    block[0] !== MAGIC
      ? `begins with ${hex(block.readUInt8(0))}, expected 0xe7`
      : stored !== calculated
        ? `has CRC ${hex(stored)}, calculated ${hex(calculated)}`
        : version !== RSA && version !== ECDSA
          ? `has version ${version}, expected 2 (RSA) or 3 (ECDSA)`
          : undefined;
  if (damage === undefined) return;
  throw new Refusal('SIGNATURE_CRC', `signature block ${index} ${damage}: it is damaged; sign and upload again`);
}

function refuseOtherDigest(block: Buffer, index: number, { sha256, sha384 }: FileDigests): void {
  const calculated = isP384(block) ? sha384 : sha256;
  const stored = block.subarray(4, 4 + calculated.length);
  if (stored.equals(calculated)) return;
  throw new Refusal(
    'SIGNATURE_DIGEST',
    `signature block ${index} is for an image with digest ${stored.toString('hex')}, this one has ${calculated.toString('hex')}: sign it again after the last change`,
  );
}

/** Byte 2 names the digest: 1 is SHA-384, which only P-384 uses. */
const isP384 = (block: Buffer): boolean => block[1] === ECDSA && block[2] === 1;

function schemeOf(block: Buffer): SignatureBlock['scheme'] {
  if (block[1] === RSA) return 'RSA-3072';
  if (isP384(block)) return 'ECDSA-P384';
  return block[CURVE_OFFSET] === CURVE_P192 ? 'ECDSA-P192' : 'ECDSA-P256';
}

/** The bytes whose digest identifies the key: modulus to M′ of RSA, curve and point of ECDSA. */
function publicKeyOf(block: Buffer): Buffer {
  if (block[1] === RSA) return block.subarray(36, 812);
  return isP384(block) ? block.subarray(52, 149) : block.subarray(36, 101);
}
