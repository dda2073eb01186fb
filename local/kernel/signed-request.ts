import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { AwsRequest, Headers } from './aws-service.ts';
import { type SigV4Options, verifySigV4 } from './sigv4.ts';
import { verifiedBody } from './sigv4-body.ts';
import { splitOnce } from './text.ts';

/**
 * Verifies the signature of a request. The body is verified while it is read.
 * @param buffered the body, if it was read already; only clients of S3 always send its hash
 * @returns the request and the service that it is signed for
 * @throws AwsError like {@link verifySigV4}
 */
export async function receiveSigned(
  request: IncomingMessage,
  options: SigV4Options,
  buffered?: Buffer,
): Promise<AwsRequest & { readonly service: string }> {
  const { method = 'GET', url = '/' } = request;
  // `set-cookie` is the only header that Node parses into a list.
  const headers = request.headers as Headers;
  const [path, query] = splitOnce(url, '?');
  const received = { method, path, query: new URLSearchParams(query), headers };
  const bodySha256 = buffered && createHash('sha256').update(buffered).digest('hex');
  const signature = await verifySigV4({ ...received, bodySha256 }, options);
  const body = verifiedBody(buffered ? Readable.from([buffered]) : request, headers, signature);
  const sourceIp = request.socket.remoteAddress?.replace(/^::ffff:/, '') ?? '';
  return { ...received, body, identity: signature.identity, sourceIp, service: signature.service };
}
