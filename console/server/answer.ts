import type { ServerResponse } from 'node:http';

/** On everything: nothing from elsewhere runs in the page, and nobody else's page may frame or read it. */
export const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  // The first address holds the token.
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

type Headers = Readonly<Record<string, string>>;

/** Nothing is kept by the browser unless the headers say so. */
export function send(response: ServerResponse, status: number, headers: Headers, body: string | Buffer = ''): void {
  response.writeHead(status, {
    ...SECURITY_HEADERS,
    'cache-control': 'no-store',
    ...headers,
    'content-length': Buffer.byteLength(body),
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

/** In the form in which the API refuses (RFC 9457), so that the pages show it the same way. */
export function sendProblem(response: ServerResponse, status: number, title: string, detail: string): void {
  const problem = { type: 'urn:paku-ota:console', title, status, detail };
  send(response, status, { 'content-type': 'application/problem+json' }, JSON.stringify(problem));
}
