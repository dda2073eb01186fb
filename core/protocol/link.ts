import { createHmac, timingSafeEqual } from 'node:crypto';
import type { UpdateId } from '../util/index.ts';

/** The attempt that a download link belongs to. */
export interface LinkTarget {
  /** At most 40 bits. */
  readonly updateId: UpdateId;
  /** At most 255. A retry is a new attempt and gets a new link. */
  readonly attempt: number;
}

/** What the token of a link says. */
export interface Link extends LinkTarget {
  /** The last day on which the link may be opened, counted from 1970-01-01 in UTC. */
  readonly lastDay: number;
}

export const TOKEN_LENGTH = 24;
const ID_BYTES = 5;
const DAY_OFFSET = ID_BYTES + 1;
const PLAIN_BYTES = DAY_OFFSET + 2;
/** 80 bits: a guess succeeds once in 10^24 tries, and the front door is throttled. */
const MAC_BYTES = 10;
const DAY_MS = 86_400_000;
/** An attempt ends at most four days after its command was sent: four times the longest `attempt_timeout_minutes`. */
const DAYS_VALID = 5;

/**
 * The token of a download link: update id, attempt, last day and a truncated HMAC-SHA-256 in base64url, 24 characters.
 * Nothing has to be stored, and commands of one attempt that are sent on one day have the same link, whichever function
 * makes it.
 * @param sentAt when the command is sent
 */
export function linkToken({ updateId, attempt }: LinkTarget, sentAt: Date, secret: string): string {
  const plain = Buffer.alloc(PLAIN_BYTES);
  plain.writeUIntBE(updateId, 0, ID_BYTES);
  plain.writeUInt8(attempt, ID_BYTES);
  plain.writeUInt16BE(dayOf(sentAt) + DAYS_VALID, DAY_OFFSET);
  return Buffer.concat([plain, mac(plain, secret)]).toString('base64url');
}

/** Parses a token made with the same secret; undefined for any other text. The HMAC comparison takes constant time. */
export function parseLinkToken(token: string, secret: string): Link | undefined {
  // 24 characters carry exactly the 144 bits of a token, so that a link has one spelling.
  if (!/^[A-Za-z0-9_-]{24}$/.test(token)) return undefined;
  const bytes = Buffer.from(token, 'base64url');
  const plain = bytes.subarray(0, PLAIN_BYTES);
  if (!timingSafeEqual(bytes.subarray(PLAIN_BYTES), mac(plain, secret))) return undefined;
  return {
    updateId: plain.readUIntBE(0, ID_BYTES),
    attempt: plain.readUInt8(ID_BYTES),
    lastDay: plain.readUInt16BE(DAY_OFFSET),
  };
}

/** True if the attempt of the link has ended, whatever became of it. */
export const isLinkOver = ({ lastDay }: Link, now: Date): boolean => dayOf(now) > lastDay;

const dayOf = (time: Date) => Math.floor(time.getTime() / DAY_MS);

const mac = (plain: Buffer, secret: string) =>
  createHmac('sha256', secret).update(plain).digest().subarray(0, MAC_BYTES);
