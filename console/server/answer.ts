import type { ServerResponse } from 'node:http';

/** Headers of every response: the page runs only its own scripts, and no other page may frame or read it. */
export const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  // The first address contains the token.
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

const EARLIER_RUN = 'This address was for an earlier run';
const NO_KEY = 'This address does not have the key of the console';
const WHAT_TO_DO =
  'Open the console by the address that was printed when it started, by npm start or paku-ota console; it carries the key of this run.';

/** Refuses a request without a session: with a page, or for a call of a page with a problem that the pages recognize. */
export function sendNoSession(response: ServerResponse, isOfEarlierRun: boolean): void {
  const title = isOfEarlierRun ? EARLIER_RUN : NO_KEY;
  if (/^\/(v1|upload)\//.test(response.req.url ?? '')) {
    sendProblem(response, 403, title, `${title}. ${WHAT_TO_DO}`, 'urn:paku-ota:console-no-session');
    return;
  }
  const head = `<meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>${title} · paku-ota</title>`;
  const page = `<!doctype html><html lang="en"><head>${head}</head><body><h1>${title}</h1><p>${WHAT_TO_DO}</p></body></html>`;
  send(response, 403, { 'content-type': 'text/html; charset=utf-8' }, page);
}
