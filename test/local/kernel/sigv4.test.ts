import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import { Sha256 } from '@aws-crypto/sha256-js';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AwsRequest } from '../../../local/kernel/aws-service.ts';
import type { Answer } from '../../../local/kernel/http-server.ts';
import { compilePolicy } from '../../../local/kernel/iam-policy.ts';
import { Identities } from '../../../local/kernel/identities.ts';
import { verifySigV4 } from '../../../local/kernel/sigv4.ts';
import { verifiedBody } from '../../../local/kernel/sigv4-body.ts';
import { allow, REGION, startEndpoints, type TestEndpoints } from '../../support/local/aws-endpoints.ts';

const START = Date.now();
const MINUTE = 60_000;
const HELLO = { Bucket: 'b', Key: 'hello world/ü+~.bin' };

let endpoints: TestEndpoints;
let now = START;
let seen: { body: string; name: string; path: string; query: string };

const remember = {
  async handle({ body, identity, path, query }: AwsRequest): Promise<Answer> {
    const pieces = await body.toArray();
    seen = { body: Buffer.concat(pieces).toString(), name: identity.name, path, query: query.toString() };
    return { status: 200, body: '{}' };
  },
};

beforeAll(async () => {
  endpoints = await startEndpoints({ s3: remember, secretsmanager: remember, 'execute-api': remember }, () => now);
});
afterAll(() => endpoints.aws.close());

const s3 = (config = endpoints.operator) => new S3Client({ ...config, forcePathStyle: true });

describe('a signed request', () => {
  it('of an SDK client reaches the service that it is signed for, with its path, body and identity', async () => {
    await s3().send(new PutObjectCommand({ ...HELLO, Body: 'firmware' }));
    expect(seen).toMatchObject({ body: 'firmware', name: 'operator', path: '/b/hello%20world/%C3%BC%2B~.bin' });
  });

  it('with a stream of unknown length arrives without aws-chunked framing', async () => {
    const body = Readable.from([Buffer.alloc(70_000, 'a'), Buffer.alloc(70_000, 'b')]);
    await s3().send(new PutObjectCommand({ ...HELLO, Body: body, ContentLength: 140_000 }));
    expect(seen.body).toBe('a'.repeat(70_000) + 'b'.repeat(70_000));
  });

  it('of a role has a session token of realistic length', async () => {
    const role = endpoints.role(allow('*'));
    await s3(role).send(new PutObjectCommand({ ...HELLO, Body: '' }));
    expect(seen.name).toBe('Role');
    expect(role.credentials.sessionToken?.length).toBeGreaterThan(600);
  });

  it('to a service other than S3 has a path that is encoded twice', async () => {
    const headers = await signed('execute-api', { path: '/v1/a%20b/../c//d', query: { q: 'x y', 'a-b': '1', a: '2' } });
    const { status } = await send('/v1/a%20b/../c//d?q=x%20y&a-b=1&a=2', headers);
    expect(status).toBe(200);
  });

  it('for another region is answered with the right one, so that clients can retry', async () => {
    await expect(
      s3({ ...endpoints.operator, region: 'us-east-1' }).send(new GetObjectCommand(HELLO)),
    ).rejects.toMatchObject({
      name: 'AuthorizationHeaderMalformed',
      Region: REGION,
    });
  });
});

describe('a request is refused', () => {
  it.each([
    ['with an unknown key', { accessKeyId: 'AKIAUNKNOWN' }, 'InvalidAccessKeyId', 'UnrecognizedClientException'],
    ['with a wrong secret', { secretAccessKey: 'wrong' }, 'SignatureDoesNotMatch', 'InvalidSignatureException'],
    ['with a token nobody gave out', { sessionToken: 'token' }, 'InvalidToken', 'UnrecognizedClientException'],
  ])('%s, with the error code of S3 or of the other services', async (_, wrong, inS3, elsewhere) => {
    const config = { ...endpoints.operator, credentials: { ...endpoints.operator.credentials, ...wrong } };
    await expect(s3(config).send(new GetObjectCommand(HELLO))).rejects.toMatchObject({ name: inS3 });
    const secrets = new SecretsManagerClient(config);
    await expect(secrets.send(new GetSecretValueCommand({ SecretId: 'x' }))).rejects.toMatchObject({ name: elsewhere });
  });

  it('when its clock is more than 15 minutes off', async () => {
    const headers = await signed('s3', { path: '/b/k' });
    now = START + 16 * MINUTE;
    const { status, body } = await send('/b/k', headers).finally(() => (now = START));
    expect([status, body]).toEqual([403, expect.stringContaining('<Code>RequestTimeTooSkewed</Code>')]);
  });

  it('without a signature', async () => {
    const { status, body } = await send('/b/k', {});
    expect([status, body]).toEqual([403, expect.stringContaining('<Code>AccessDenied</Code>')]);
  });

  it('for an unknown service, and the message lists the known ones', async () => {
    const { status, body } = await send('/', await signed('dynamodb', { path: '/' }));
    expect([status, body]).toEqual([404, expect.stringContaining('execute-api, s3, secretsmanager')]);
  });

  it.each([
    ['another method', 'PUT', '/b/k', {}],
    ['another path', 'GET', '/b/other', {}],
    ['another query', 'GET', '/b/k?versionId=1', {}],
    ['an unsigned x-amz header', 'GET', '/b/k', { 'x-amz-copy-source': '/b/secret' }],
  ])('when it has %s after signing', async (_, method, path, more) => {
    const headers = await signed('s3', { path: '/b/k' });
    expect((await send(path, { ...headers, ...more }, method)).status).toBe(403);
  });

  it('when its body differs from the signed one', async () => {
    const headers = await signed('s3', { path: '/b/k', method: 'PUT', body: 'signed' });
    const { status, body } = await send('/b/k', headers, 'PUT', 'forged');
    expect([status, body]).toEqual([400, expect.stringContaining('XAmzContentSHA256Mismatch')]);
  });

  it('when its CRC32 trailer is wrong', async () => {
    const more = { 'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', 'x-amz-decoded-content-length': '4' };
    const headers = await signed('s3', { path: '/b/k', method: 'PUT', headers: more });
    const chunks = (crc: string) => `4\r\nabcd\r\n0\r\nx-amz-checksum-crc32:${crc}\r\n\r\n`;
    expect((await send('/b/k', headers, 'PUT', chunks('7YLNEQ=='))).status).toBe(200);
    expect((await send('/b/k', headers, 'PUT', chunks('AAAAAA=='))).body).toContain('BadDigest');
    expect((await send('/b/k', headers, 'PUT', '4\r\nab')).body).toContain('IncompleteBody');
  });
});

describe('a presigned URL', () => {
  const sign = (expiresIn: number, config = endpoints.operator) =>
    getSignedUrl(s3(config), new GetObjectCommand(HELLO), { expiresIn, signingDate: new Date(START) });

  it('has the permissions of its signer until it expires', async () => {
    const url = await sign(900, endpoints.role(allow('*')));
    expect((await fetch(url)).status).toBe(200);
    expect(seen.name).toBe('Role');
    now = START + 15 * MINUTE + 1_000;
    const response = await fetch(url).finally(() => (now = START));
    expect([response.status, await response.text()]).toEqual([403, expect.stringContaining('Request has expired')]);
  });

  it('allows headers that were not signed, such as Range', async () => {
    expect((await fetch(await sign(900), { headers: { range: 'bytes=0-1' } })).status).toBe(200);
  });

  it('is refused if it was changed, is from the future or is valid for more than a week', async () => {
    const url = await sign(900);
    expect((await fetch(url.replace('hello', 'other'))).status).toBe(403);
    expect((await fetch(url.replace('X-Amz-Expires=900', 'X-Amz-Expires=9000'))).status).toBe(403);
    expect(await (await fetch(url.replace('X-Amz-Expires=900', 'X-Amz-Expires=604801'))).text()).toContain('604800');
    now = START - 16 * MINUTE;
    const early = await fetch(url).finally(() => (now = START));
    expect(await early.text()).toContain('not yet valid');
  });
});

/** The worked example of https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html, with its keys. */
describe('signed chunks', () => {
  const identities = new Identities();
  identities.issueUser('example', 'arn:aws:iam::0:user/example', compilePolicy('example', []), {
    accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  });
  const headers = {
    host: 's3.amazonaws.com',
    'x-amz-date': '20130524T000000Z',
    'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    'content-encoding': 'aws-chunked',
    'x-amz-decoded-content-length': '66560',
    'content-length': '66824',
    authorization:
      'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
  };
  const chunks = (filler: string) => [
    `10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n${filler.repeat(65_536)}\r\n`,
    `400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n${'a'.repeat(1024)}\r\n`,
    '0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n',
  ];
  const read = async (filler: string) => {
    const signature = await verifySigV4(
      { method: 'PUT', path: '/examplebucket/chunkObject.txt', query: new URLSearchParams(), headers },
      { identities, region: 'us-east-1', clock: () => Date.UTC(2013, 4, 24) },
    );
    const body = verifiedBody(Readable.from(chunks(filler).map((chunk) => Buffer.from(chunk))), headers, signature);
    return Buffer.concat(await body.toArray()).length;
  };

  it('are verified one by one', async () => {
    expect(await read('a')).toBe(66_560);
  });

  it('end the body with an error if one was changed', async () => {
    await expect(read('b')).rejects.toMatchObject({ code: 'SignatureDoesNotMatch' });
  });
});

interface Unsigned {
  readonly path: string;
  readonly method?: string;
  readonly query?: Record<string, string>;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

async function signed(service: string, { path, method = 'GET', query = {}, headers = {}, body }: Unsigned) {
  const { credentials } = endpoints.operator;
  const signer = new SignatureV4({
    service,
    region: REGION,
    credentials,
    sha256: Sha256,
    uriEscapePath: service !== 's3',
  });
  const host = `127.0.0.1:${endpoints.aws.port}`;
  const request = {
    method,
    path,
    query,
    body,
    protocol: 'http:',
    hostname: '127.0.0.1',
    headers: { host, ...headers },
  };
  return (await signer.sign(request, { signingDate: new Date(START) })).headers;
}

/** Sends exactly this path: `fetch` would normalize it. */
function send(path: string, headers: Record<string, string>, method = 'GET', body = '') {
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const request = httpRequest(
      { host: '127.0.0.1', port: endpoints.aws.port, path, method, headers },
      async (response) => {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(await response.toArray()).toString() });
      },
    );
    request.on('error', reject).end(body);
  });
}
