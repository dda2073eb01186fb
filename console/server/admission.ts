import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** The decision about a request, made before anything else handles it. */
export type Admission =
  | { readonly kind: 'admitted' }
  /** The token was right: the browser gets the cookie, and is redirected to an address without the token. */
  | { readonly kind: 'signed-in'; readonly setCookie: string }
  /** The request has neither the token nor the cookie of this run; perhaps those of an earlier run. */
  | { readonly kind: 'no-session'; readonly isOfEarlierRun: boolean }
  | { readonly kind: 'refused'; readonly reason: string };

const LOOPBACK = ['127.0.0.1', 'localhost', '::1'];
const SAFE_METHODS = ['GET', 'HEAD'];

const refused = (reason: string): Admission => ({ kind: 'refused', reason });

/** @throws Error for an address that other machines can reach, because every caller acts with the operator's credentials */
export function checkLoopback(host: string): void {
  if (LOOPBACK.includes(host)) return;
  throw new Error(
    `the console's host is "${host}", expected one of ${LOOPBACK.join(', ')}: it acts with your credentials`,
  );
}

/**
 * Admits a browser on this machine that presented the token of this run once. Host is checked against names that an
 * attacker points at 127.0.0.1 (DNS rebinding). Origin and Sec-Fetch-Site are checked against pages of other sites, and of
 * other programs on this machine, whose pages are same-site on any port.
 */
export class Gate {
  readonly token = randomBytes(24).toString('base64url');
  readonly #session = randomBytes(24).toString('base64url');
  readonly #cookie: string;
  readonly #hosts: readonly string[];

  constructor(port: number) {
    // All ports of a host share their cookies, so the name distinguishes this console from others.
    this.#cookie = `paku_ota_${port}`;
    this.#hosts = LOOPBACK.map((host) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`));
  }

  admit({ method = '', url = '', headers }: IncomingMessage): Admission {
    const { host = '', origin } = headers;
    if (!this.#hosts.includes(host)) return refused(`Host is "${host}", expected ${this.#hosts[0]}.`);
    const safe = SAFE_METHODS.includes(method);
    if (origin === undefined ? !safe : origin !== `http://${host}`) return refused('Origin is another page.');
    if (isForeignFetch(headers)) return refused('The request was made by another page.');
    const token = tokenOf(method, url);
    if (token !== undefined && isSame(token, this.token)) return { kind: 'signed-in', setCookie: this.#setCookie() };
    const session = this.#cookieOf(headers.cookie);
    if (isSame(session, this.#session)) return { kind: 'admitted' };
    return { kind: 'no-session', isOfEarlierRun: session !== '' || (token ?? '') !== '' };
  }

  #setCookie(): string {
    return `${this.#cookie}=${this.#session}; Path=/; HttpOnly; SameSite=Strict`;
  }

  #cookieOf(header = ''): string {
    const pairs = header.split(';').map((pair) => pair.trim().split('='));
    return pairs.find(([name]) => name === this.#cookie)?.[1] ?? '';
  }
}

/** True for a request made by another page, except a link: any page may link to the console, and the browser does not send
 * the Strict cookie when a page of another site does. */
function isForeignFetch(headers: IncomingMessage['headers']): boolean {
  const site = headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || site === 'none') return false;
  return headers['sec-fetch-mode'] !== 'navigate' || headers['sec-fetch-dest'] !== 'document';
}

function tokenOf(method: string, url: string): string | undefined {
  if (method !== 'GET' || !url.startsWith('/?')) return undefined;
  return new URLSearchParams(url.slice(2)).get('token') ?? undefined;
}

/** Compares in constant time. */
function isSame(actual: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(actual), digest(expected));
}
