import type { IncomingMessage } from 'node:http';

const LOOPBACK = ['127.0.0.1', 'localhost', '::1'];
const SAFE_METHODS = ['GET', 'HEAD'];

/** @throws Error for an address that other machines can reach, because every caller acts with the operator's credentials */
export function checkLoopback(host: string): void {
  if (LOOPBACK.includes(host)) return;
  throw new Error(
    `the console's host is "${host}", expected one of ${LOOPBACK.join(', ')}: it acts with your credentials`,
  );
}

/**
 * Refuses requests that are not made by a page of this console. Host is checked against names that an attacker points at
 * 127.0.0.1 (DNS rebinding). Origin and Sec-Fetch-Site are checked against pages of other sites, and of other programs on
 * this machine, whose pages are same-site on any port.
 */
export class Gate {
  readonly #hosts: readonly string[];

  constructor(port: number) {
    this.#hosts = LOOPBACK.map((host) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`));
  }

  /** The reason for a refusal; undefined if the request is admitted. */
  refuse({ method = '', headers }: IncomingMessage): string | undefined {
    const { host = '', origin } = headers;
    if (!this.#hosts.includes(host)) return `Host is "${host}", expected ${this.#hosts[0]}.`;
    const isSafe = SAFE_METHODS.includes(method);
    if (origin === undefined ? !isSafe : origin !== `http://${host}`) return 'Origin is another page.';
    return isForeignFetch(headers) ? 'The request was made by another page.' : undefined;
  }
}

/** True for a request made by another page, except a link: any page may link to the console. */
function isForeignFetch(headers: IncomingMessage['headers']): boolean {
  const site = headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || site === 'none') return false;
  return headers['sec-fetch-mode'] !== 'navigate' || headers['sec-fetch-dest'] !== 'document';
}
