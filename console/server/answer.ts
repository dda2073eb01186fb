import type { ServerResponse } from 'node:http';

/** Headers of every response: the page runs only its own scripts, and no other page may frame or read it. */
export const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

type Headers = Readonly<Record<string, string>>;

/** Sends a response that the browser does not cache, unless the headers say otherwise. */
export function send(response: ServerResponse, status: number, headers: Headers, body: string | Buffer = ''): void {
  response.writeHead(status, {
    ...SECURITY_HEADERS,
    'cache-control': 'no-store',
    ...headers,
    'content-length': Buffer.byteLength(body),
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

/** Sends problem details (RFC 9457), which the API sends too, so that the pages show both the same way. */
export function sendProblem(
  response: ServerResponse,
  status: number,
  title: string,
  detail: string,
  type = 'urn:paku-ota:console',
): void {
  const problem = { type, title, status, detail };
  send(response, status, { 'content-type': 'application/problem+json' }, JSON.stringify(problem));
}

/** Refuses a call without an open session by a problem that the pages recognize. */
export function sendNoSession(response: ServerResponse): void {
  const detail =
    'The session has expired, or the console was restarted. Open the address that npm start or paku-ota console printed; it has the key.';
  sendProblem(response, 403, 'No session', detail, 'urn:paku-ota:console-no-session');
}
