import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** A session ends after this time without a call; an open page calls every few seconds. */
export const IDLE_MS = 60 * 60_000;
/** A session ends after this time in any case. */
export const LIFETIME_MS = 12 * 60 * 60_000;
/** More sessions than tabs that anybody has open; a further one replaces the oldest. */
const MAX_SESSIONS = 100;

interface Session {
  readonly openedAt: number;
  usedAt: number;
}

/**
 * The sessions of one run of the console. The key of the run, which is in the printed address only, opens sessions. A page
 * keeps the token of its session for its own origin and sends it in a header. A cookie would be sent to every port of this
 * machine.
 */
export class Sessions {
  /** Opens sessions as long as the console runs. */
  readonly key = randomBytes(24).toString('base64url');
  readonly #sessions = new Map<string, Session>();
  readonly #now: () => number;

  /** @param now milliseconds since the epoch */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Opens a session. @returns its token; undefined if the key is not the one of this run */
  open(key: string): string | undefined {
    if (!isSame(key, this.key)) return undefined;
    const token = randomBytes(24).toString('base64url');
    const now = this.#now();
    this.#sessions.set(token, { openedAt: now, usedAt: now });
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size > MAX_SESSIONS && oldest !== undefined) this.#sessions.delete(oldest);
    return token;
  }

  /** True if the header carries the token of an open session, whose idle time starts again. */
  admit(authorization = ''): boolean {
    const token = /^Bearer ([\w-]{32})$/.exec(authorization)?.[1] ?? '';
    const session = this.#sessions.get(token);
    if (session === undefined) return false;
    const now = this.#now();
    if (now - session.usedAt >= IDLE_MS || now - session.openedAt >= LIFETIME_MS) {
      this.#sessions.delete(token);
      return false;
    }
    session.usedAt = now;
    return true;
  }
}

/** Compares in constant time. */
function isSame(actual: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(actual), digest(expected));
}
