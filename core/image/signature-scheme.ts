import { constants, createPublicKey, type VerifyKeyObjectInput } from 'node:crypto';
import type { SignedDigest } from './signed-bytes.ts';

type Range = readonly [start: number, end: number];

/** The layout of a signature block for one scheme; offsets within the block, numbers little-endian. */
export interface Scheme {
  readonly name: 'RSA-3072' | 'ECDSA-P192' | 'ECDSA-P256' | 'ECDSA-P384';
  /** The digest of the file that the signature covers; the block states it from byte 4 on. */
  readonly digest: SignedDigest;
  /** The bytes whose SHA-256 identifies the key: modulus to M′ for RSA, curve and point for ECDSA. */
  readonly key: Range;
  /** Bytes without meaning; the tools write zeros. */
  readonly reserved: readonly Range[];
  /** @throws Error if the bytes are not a public key */
  readonly read: (block: Buffer) => { readonly key: VerifyKeyObjectInput; readonly signature: Buffer };
}

const RSA = 2;
const ECDSA = 3;
export const CRC_OFFSET = 1_196;
export const BLOCK_BYTES = 1_216;
const PADDING: Range = [CRC_OFFSET + 4, BLOCK_BYTES];

const bigEndian = (block: Buffer, start: number, bytes: number): Buffer =>
  Buffer.from(block.subarray(start, start + bytes)).reverse();

const rsa3072: Scheme = {
  name: 'RSA-3072',
  digest: 'sha256',
  key: [36, 812],
  reserved: [[2, 4], PADDING],
  read: (block) => {
    const [n, e] = [bigEndian(block, 36, 384), bigEndian(block, 420, 4)];
    refuseOtherFactors(block, n);
    const jwk = { kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') };
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    return {
      key: { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
      signature: bigEndian(block, 812, 384),
    };
  },
};

/**
 * R = 2^6144 mod n and M′ = −n⁻¹ mod 2^32 follow from n. The chip multiplies with the stored values without checking
 * them.
 */
function refuseOtherFactors(block: Buffer, modulus: Buffer): void {
  const [n, r] = [modulus, bigEndian(block, 424, 384)].map((bytes) => BigInt(`0x${bytes.toString('hex')}`));
  const m = BigInt(block.readUInt32LE(808));
  if (n === undefined || n === 0n || r !== (1n << 6144n) % n || BigInt.asUintN(32, n * m) !== 0xffffffffn)
    throw new Error('R or M′ is not that of the modulus.');
}

/**
 * @param start offset of the curve's number
 * @param coordinate bytes of a number
 * @param field bytes reserved for two numbers
 * @param spki what precedes a point of the curve in a SubjectPublicKeyInfo (RFC 5480), in hex
 */
function ecdsa(
  name: Scheme['name'],
  digest: SignedDigest,
  { start, coordinate, field }: { start: number; coordinate: number; field: number },
  spki: string,
): Scheme {
  const [point, signature] = [start + 1, start + 1 + field];
  const two = (block: Buffer, at: number) =>
    Buffer.concat([bigEndian(block, at, coordinate), bigEndian(block, at + coordinate, coordinate)]);
  return {
    name,
    digest,
    key: [start, signature],
    reserved: [[3, 4], [point + 2 * coordinate, signature], [signature + 2 * coordinate, CRC_OFFSET], PADDING],
    read: (block) => {
      const der = Buffer.concat([Buffer.from(spki, 'hex'), two(block, point)]);
      const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
      return { key: { key, dsaEncoding: 'ieee-p1363' }, signature: two(block, signature) };
    },
  };
}

const p192 = ecdsa(
  'ECDSA-P192',
  'sha256',
  { start: 36, coordinate: 24, field: 64 },
  '3049301306072a8648ce3d020106082a8648ce3d03010103320004',
);
const p256 = ecdsa(
  'ECDSA-P256',
  'sha256',
  { start: 36, coordinate: 32, field: 64 },
  '3059301306072a8648ce3d020106082a8648ce3d03010703420004',
);
const p384 = ecdsa(
  'ECDSA-P384',
  'sha384',
  { start: 52, coordinate: 48, field: 96 },
  '3076301006072a8648ce3d020106052b8104002203620004',
);

/**
 * The scheme that a block names by its version and, for ECDSA, by the numbers of digest and curve; undefined for any
 * other (ESP-IDF, secure-boot-v2.rst and rom/ecdsa.h; esptool, espsecure/__init__.py).
 */
export function schemeOf(block: Buffer): Scheme | undefined {
  const version = block.readUInt8(1);
  if (version === RSA) return rsa3072;
  if (version !== ECDSA) return undefined;
  const [digest, curve, curve384] = [block.readUInt8(2), block.readUInt8(36), block.readUInt8(52)];
  if (digest === 1) return curve384 === 3 ? p384 : undefined;
  if (digest !== 0) return undefined;
  return curve === 1 ? p192 : curve === 2 ? p256 : undefined;
}
