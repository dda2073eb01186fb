import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Fetch } from './client.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/**
 * `fetch` that signs each call with SigV4, for API Gateway unless another service is named. For Node only, because a browser has no
 * credentials.
 * @param now the time by which signatures are dated
 */
export function signedFetch(
  region: string,
  credentials: Credentials | (() => Promise<Credentials>),
  now = () => new Date(),
  service = 'execute-api',
): Fetch {
  const signer = new SignatureV4({ service, region, credentials, sha256: Sha256 });
  return async (url, { method, headers, body }) => {
    const { hostname, port, protocol, pathname, searchParams } = new URL(url);
    const query = Object.fromEntries([...new Set(searchParams.keys())].map((key) => [key, searchParams.getAll(key)]));
    const host = port === '' ? hostname : `${hostname}:${port}`;
    const request = { method, protocol, hostname, path: pathname, query, headers: { ...headers, host } };
    const signed = await signer.sign(body === undefined ? request : { ...request, body }, { signingDate: now() });
    const { host: _, ...sent } = signed.headers;
    return fetch(url, { method, headers: sent, ...(body === undefined ? {} : { body }) });
  };
}
