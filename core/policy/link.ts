import { createHmac, timingSafeEqual } from 'node:crypto';

/** The attempt that a download link belongs to. */
export interface LinkTarget {
  /** At most 48 bits. */
  readonly updateId: number;
  /** At most 255. A retry is a new attempt and gets a new link. */
  readonly attempt: number;
}

export const TOKEN_LENGTH = 23;
const ID_BYTES = 6;
const PLAIN_BYTES = ID_BYTES + 1;
/** 80 bits: a guess succeeds once in 10^24 tries, and the front door is throttled. */
const MAC_BYTES = 10;

/**
 * The token of a download link: update id, attempt and a truncated HMAC-SHA-256 in base64url, 23 characters. Nothing
 * has to be stored, and the same attempt always gets the same link, whichever function makes it.
 */
export function linkToken(target: LinkTarget, secret: string): string {
  const plain = Buffer.alloc(PLAIN_BYTES);
  plain.writeUIntBE(target.updateId, 0, ID_BYTES);
  plain.writeUInt8(target.attempt, ID_BYTES);
  return Buffer.concat([plain, mac(plain, secret)]).toString('base64url');
}

/** Parses a token made with the same secret; undefined for any other text. The HMAC comparison takes constant time. */
export function parseLinkToken(token: string, secret: string): LinkTarget | undefined {
  if (!/^[A-Za-z0-9_-]{23}$/.test(token)) return undefined;
  const bytes = Buffer.from(token, 'base64url');
  // 23 characters carry 138 bits, and 136 are used: the two spare bits would allow four spellings of one link.
  if (bytes.toString('base64url') !== token) return undefined;
  const plain = bytes.subarray(0, PLAIN_BYTES);
  if (!timingSafeEqual(bytes.subarray(PLAIN_BYTES), mac(plain, secret))) return undefined;
  return { updateId: plain.readUIntBE(0, ID_BYTES), attempt: plain.readUInt8(ID_BYTES) };
}

const mac = (plain: Buffer, secret: string) =>
  createHmac('sha256', secret).update(plain).digest().subarray(0, MAC_BYTES);
