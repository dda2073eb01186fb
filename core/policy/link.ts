import { createHmac, timingSafeEqual } from 'node:crypto';

/** What a download link stands for. */
export interface LinkTarget {
  /** At most 48 bits. */
  readonly updateId: number;
  /** At most 255; a retry is a new attempt and has a new link. */
  readonly attempt: number;
}

export const TOKEN_LENGTH = 23;
const ID_BYTES = 6;
const PLAIN_BYTES = ID_BYTES + 1;
/** 80 bits: one guess in 10^24, against a front door that is throttled. */
const MAC_BYTES = 10;

/**
 * The token of a download link: update id, attempt and a truncated HMAC-SHA-256 in base64url, 23 characters. Nothing
 * needs to be stored, and the same attempt always has the same link, whoever sends it.
 */
export function linkToken(target: LinkTarget, secret: string): string {
  const plain = Buffer.alloc(PLAIN_BYTES);
  plain.writeUIntBE(target.updateId, 0, ID_BYTES);
  plain.writeUInt8(target.attempt, ID_BYTES);
  return Buffer.concat([plain, mac(plain, secret)]).toString('base64url');
}

/** Reads a token that was made with the same secret; undefined for any other text. Takes constant time over the HMAC. */
export function parseLinkToken(token: string, secret: string): LinkTarget | undefined {
  if (!/^[A-Za-z0-9_-]{23}$/.test(token)) return undefined;
  const bytes = Buffer.from(token, 'base64url');
  // 23 characters carry 138 bits for 136: two spare bits would let one link be written in four ways.
  if (bytes.toString('base64url') !== token) return undefined;
  const plain = bytes.subarray(0, PLAIN_BYTES);
  if (!timingSafeEqual(bytes.subarray(PLAIN_BYTES), mac(plain, secret))) return undefined;
  return { updateId: plain.readUIntBE(0, ID_BYTES), attempt: plain.readUInt8(ID_BYTES) };
}

const mac = (plain: Buffer, secret: string) =>
  createHmac('sha256', secret).update(plain).digest().subarray(0, MAC_BYTES);
