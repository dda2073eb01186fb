import { constants, createHash, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { crc32 } from 'node:zlib';

const SECTOR_BYTES = 4_096;
const BLOCK_BYTES = 1_216;
const CRC_AT = 1_196;
const RSA_BYTES = 384;

/** By curve: its number, the bytes of a coordinate, and the digest with its number. */
const CURVES = {
  prime192v1: { id: 1, coordinate: 24, field: 64, digest: 'sha256', digestId: 0 },
  prime256v1: { id: 2, coordinate: 32, field: 64, digest: 'sha256', digestId: 0 },
  secp384r1: { id: 3, coordinate: 48, field: 96, digest: 'sha384', digestId: 1 },
} as const;

/**
 * Signs an image for secure boot v2 as `espsecure sign-data --version 2` does: it pads the image to a sector and
 * appends a sector with one block per key (secure-boot-v2.rst, "Signature Block Format").
 * @param keys at most three private keys: RSA-3072, P-192, P-256 or P-384
 */
export function signImage(image: Buffer, keys: readonly KeyObject[]): Buffer {
  const padding = Buffer.alloc((SECTOR_BYTES - (image.length % SECTOR_BYTES)) % SECTOR_BYTES, 0xff);
  const signed = Buffer.concat([image, padding]);
  const sector = Buffer.alloc(SECTOR_BYTES, 0xff);
  keys.forEach((key, index) => {
    signatureBlock(signed, key).copy(sector, index * BLOCK_BYTES);
  });
  return Buffer.concat([signed, sector]);
}

function signatureBlock(signed: Buffer, key: KeyObject): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  Buffer.concat(key.asymmetricKeyType === 'rsa' ? rsaFields(signed, key) : ecdsaFields(signed, key)).copy(block);
  block.writeUInt32LE(crc32(block.subarray(0, CRC_AT)), CRC_AT);
  return block;
}

function rsaFields(signed: Buffer, key: KeyObject): Buffer[] {
  const { n = '', e = '' } = createPublicKey(key).export({ format: 'jwk' });
  const modulus = BigInt(`0x${Buffer.from(n, 'base64url').toString('hex')}`);
  const exponent = BigInt(`0x${Buffer.from(e, 'base64url').toString('hex')}`);
  const pss = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  return [
    Buffer.from([0xe7, 2, 0, 0]),
    createHash('sha256').update(signed).digest(),
    littleEndian(modulus, RSA_BYTES),
    littleEndian(exponent, 4),
    littleEndian((1n << BigInt(16 * RSA_BYTES)) % modulus, RSA_BYTES),
    littleEndian(montgomery(modulus), 4),
    sign('sha256', signed, pss).reverse(),
  ];
}

/**
 * M′ = −n⁻¹ mod 2³² by Newton's iteration. Each step doubles the correct bits, beginning with n, its own inverse mod 8.
 */
function montgomery(modulus: bigint): bigint {
  let inverse = modulus;
  for (let bits = 3; bits < 32; bits *= 2) inverse = BigInt.asUintN(32, inverse * (2n - modulus * inverse));
  return BigInt.asUintN(32, -inverse);
}

function littleEndian(value: bigint, bytes: number): Buffer {
  return Buffer.from(value.toString(16).padStart(2 * bytes, '0'), 'hex').reverse();
}

function ecdsaFields(signed: Buffer, key: KeyObject): Buffer[] {
  const name = key.asymmetricKeyDetails?.namedCurve as keyof typeof CURVES;
  const { id, coordinate, field, digest, digestId } = CURVES[name];
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const signature = sign(digest, signed, { key, dsaEncoding: 'ieee-p1363' });
  return [
    Buffer.from([0xe7, 3, digestId, 0]),
    createHash(digest).update(signed).digest(),
    Buffer.from([id]),
    littleEndianPair(spki.subarray(-2 * coordinate), field),
    littleEndianPair(signature, field),
  ];
}

/** X and Y, or r and s, each in little-endian, and zeros up to the length of the field. */
function littleEndianPair(bytes: Buffer, field: number): Buffer {
  const half = bytes.length / 2;
  const [first, second] = [Buffer.from(bytes.subarray(0, half)), Buffer.from(bytes.subarray(half))];
  return Buffer.concat([first.reverse(), second.reverse()], field);
}
