import { pbkdf2, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetBucketAclCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { s3Service } from '../../../../local/services/s3/s3.ts';
import { type ObjectCreated, S3Store } from '../../../../local/services/s3/s3-store.ts';
import { allow, REGION, startEndpoints, type TestEndpoints } from '../../../support/local/aws-endpoints.ts';

const MIB = 1024 * 1024;
const BUCKETS = ['firmware'];
const folder = mkdtempSync(join(tmpdir(), 'paku-ota-s3-'));

let endpoints: TestEndpoints;
let store: S3Store;
let client: S3Client;
let created: ObjectCreated[] = [];

beforeAll(async () => {
  store = new S3Store(folder, BUCKETS);
  store.onObjectCreated((event) => created.push(event));
  endpoints = await startEndpoints({ s3: s3Service(store) });
  client = new S3Client(endpoints.operator);
});
beforeEach(() => {
  created = [];
});
afterAll(async () => {
  expect(endpoints.errors).toEqual([]);
  await endpoints.aws.close();
  rmSync(folder, { recursive: true });
});

function put(Key: string, Body: NonNullable<PutObjectCommandInput['Body']>, more: Partial<PutObjectCommandInput> = {}) {
  return client.send(new PutObjectCommand({ Bucket: 'firmware', Key, Body, ...more }));
}

async function get(Key: string, more: object = {}): Promise<string> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket: 'firmware', Key, ...more }));
  return (await Body?.transformToString()) ?? '';
}

describe('an object', () => {
  it('comes back with its bytes, length, type and metadata', async () => {
    const put1 = await put('a/b.bin', 'firmware', {
      ContentType: 'application/x',
      Metadata: { 'min-version': '1.0.0' },
    });
    const { Body, ...got } = await client.send(new GetObjectCommand({ Bucket: 'firmware', Key: 'a/b.bin' }));
    expect(await Body?.transformToString()).toBe('firmware');
    expect(got).toMatchObject({
      ContentLength: 8,
      ContentType: 'application/x',
      Metadata: { 'min-version': '1.0.0' },
      ETag: put1.ETag,
      VersionId: put1.VersionId,
    });
    expect(await client.send(new HeadObjectCommand({ Bucket: 'firmware', Key: 'a/b.bin' }))).toMatchObject({
      ContentLength: 8,
      ETag: put1.ETag,
    });
  });

  it('has the MD5 of its content as ETag', async () => {
    expect((await put('md5', 'hello')).ETag).toBe('"5d41402abc4b2a76b9719d911017c592"');
    expect((await put('empty', '')).ETag).toBe('"d41d8cd98f00b204e9800998ecf8427e"');
    expect(await get('empty')).toBe('');
  });

  it('can be streamed in and out', async () => {
    const bytes = randomBytes(3 * MIB + 1);
    const pieces = [bytes.subarray(0, MIB), bytes.subarray(MIB)];
    await put('streamed', Readable.from(pieces), { ContentLength: bytes.length });
    const { Body } = await client.send(new GetObjectCommand({ Bucket: 'firmware', Key: 'streamed' }));
    expect(Buffer.from((await Body?.transformToByteArray()) ?? []).equals(bytes)).toBe(true);
  });

  it.each([
    '../../../etc/passwd',
    '/leading//double/',
    'nul\u0000and\nline',
    'spaces +%2F & <xml> "quotes"',
    'größe/\u{1f600}',
    '.',
    'x'.repeat(1024),
  ])('can have any key: %j', async (key) => {
    await put(key, key);
    expect(await get(key)).toBe(key);
    const { Contents } = await client.send(
      new ListObjectsV2Command({ Bucket: 'firmware', Prefix: key, EncodingType: 'url' }),
    );
    expect(Contents?.map(({ Key }) => decodeURIComponent(Key ?? ''))).toContain(key);
    expect(readdirSync(folder).sort()).toEqual(['buckets', 'content']);
  });

  it('is created whole or not at all: a body that does not match its headers leaves nothing', async () => {
    const before = readdirSync(join(folder, 'content'));
    await expect(put('broken', 'body', { ChecksumCRC32: 'AAAAAA==' })).rejects.toMatchObject({ name: 'BadDigest' });
    await expect(get('broken')).rejects.toMatchObject({ name: 'NoSuchKey' });
    expect([created, readdirSync(join(folder, 'content'))]).toEqual([[], before]);
  });

  it('leaves nothing of a write that fails before its file is open', async () => {
    const before = readdirSync(join(folder, 'content'));
    // The threads that open files are busy with this.
    const busy = Array.from({ length: 8 }, () => promisify(pbkdf2)('password', 'salt', 50_000, 32, 'sha256'));
    const broken = new Readable({ read: () => broken.destroy(new Error('broken off')) });
    await expect(store.write(broken)).rejects.toThrow('broken off');
    await Promise.all(busy);
    await stat(folder);
    expect(readdirSync(join(folder, 'content'))).toEqual(before);
  });

  it('survives a restart, and the remains of an interrupted write do not', async () => {
    const { VersionId } = await put('kept', 'content');
    const { contentId } = await store.write(Readable.from([Buffer.from('never published')]));
    const reopened = new S3Store(folder, BUCKETS);
    expect(reopened.find('firmware', 'kept')).toMatchObject({ versionId: VersionId, size: 7 });
    expect(readdirSync(join(folder, 'content'))).not.toContain(contentId);
  });
});

describe('a range', () => {
  beforeAll(() => put('range', '0123456789'));

  it.each([
    ['bytes=2-4', '234', 'bytes 2-4/10'],
    ['bytes=8-', '89', 'bytes 8-9/10'],
    ['bytes=-3', '789', 'bytes 7-9/10'],
    ['bytes=5-99', '56789', 'bytes 5-9/10'],
  ])('%s returns those bytes', async (Range, text, contentRange) => {
    const { Body, ...got } = await client.send(new GetObjectCommand({ Bucket: 'firmware', Key: 'range', Range }));
    expect(await Body?.transformToString()).toBe(text);
    expect(got).toMatchObject({
      ContentRange: contentRange,
      ContentLength: text.length,
      $metadata: { httpStatusCode: 206 },
    });
  });

  it.each(['bytes=10-', 'bytes=-0'])('%s is outside the object', async (Range) => {
    await expect(get('range', { Range })).rejects.toMatchObject({
      name: 'InvalidRange',
      $metadata: { httpStatusCode: 416 },
    });
  });

  it.each(['bytes=0-1,4-5', 'lines=1-2', 'bytes=4-2'])('%s returns the whole object', async (Range) => {
    expect(await get('range', { Range })).toBe('0123456789');
  });
});

describe('conditions', () => {
  it('If-Match reads only the object with that ETag', async () => {
    const { ETag } = await put('seen', 'one');
    expect(await get('seen', { IfMatch: ETag })).toBe('one');
    await put('seen', 'two');
    await expect(get('seen', { IfMatch: ETag })).rejects.toMatchObject({ name: 'PreconditionFailed' });
  });

  it('that are not supported are refused', async () => {
    await expect(put('first', 'a', { IfNoneMatch: '*' })).rejects.toMatchObject({ name: 'NotImplemented' });
    await expect(put('seen', 'a', { IfMatch: '"b"' })).rejects.toThrow("'PUT object with if-match'");
  });
});

describe('versions', () => {
  it('keep overwritten objects, each with its id', async () => {
    const [one, two] = [await put('v', 'one'), await put('v', 'two')];
    expect(await get('v')).toBe('two');
    expect(await get('v', { VersionId: one.VersionId })).toBe('one');
    expect(two.VersionId).not.toBe(one.VersionId);
    await expect(get('v', { VersionId: 'unknown' })).rejects.toMatchObject({ name: 'NoSuchVersion' });
  });
});

describe('a copy', () => {
  const copy = (more: object = {}) =>
    client.send(
      new CopyObjectCommand({ Bucket: 'firmware', Key: 'copy', CopySource: 'firmware/source%20%C3%BC', ...more }),
    );

  it('has the bytes and metadata of the source, or new metadata', async () => {
    await put('source ü', 'bytes', { Metadata: { a: '1' } });
    expect((await copy()).CopyObjectResult?.ETag).toBe('"4b3a6218bb3e3a7303e8a171a60fcf92"');
    const head = () => client.send(new HeadObjectCommand({ Bucket: 'firmware', Key: 'copy' }));
    expect((await head()).Metadata).toEqual({ a: '1' });
    await copy({ MetadataDirective: 'REPLACE', Metadata: { b: '2' } });
    expect((await head()).Metadata).toEqual({ b: '2' });
    expect(await get('copy')).toBe('bytes');
  });

  it('can be of a version, and only of the one with the given ETag', async () => {
    const { ETag, VersionId } = await put('source ü', 'old');
    await put('source ü', 'new');
    await expect(copy({ CopySourceIfMatch: ETag })).rejects.toMatchObject({ name: 'PreconditionFailed' });
    await copy({ CopySource: `firmware/source%20%C3%BC?versionId=${VersionId}`, CopySourceIfMatch: ETag });
    expect(await get('copy')).toBe('old');
  });

  it('has the tags of the source, which takes rights to them, unless the request replaces them', async () => {
    await put('source ü', 'bytes', { Tagging: 'team=vans' });
    const resource = 'arn:aws:s3:::firmware/*';
    const role = new S3Client(endpoints.role(allow(['s3:GetObject', 's3:PutObject'], resource)));
    const source = { Bucket: 'firmware', Key: 'copy', CopySource: 'firmware/source%20%C3%BC' };
    await expect(role.send(new CopyObjectCommand(source))).rejects.toThrow('s3:GetObjectTagging');
    await role.send(new CopyObjectCommand({ ...source, TaggingDirective: 'REPLACE' }));
    await copy();
    await expect(role.send(new CopyObjectCommand({ ...source, CopySource: 'firmware/copy' }))).rejects.toThrow(
      's3:GetObjectTagging',
    );
  });
});

describe('a multipart upload', () => {
  const target = { Bucket: 'firmware', Key: 'multi' };

  async function upload(sizes: number[]) {
    const bytes = randomBytes(sizes.reduce((a, b) => a + b));
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...target, Metadata: { a: '1' } }));
    const parts = await Promise.all(
      sizes.map(async (size, index) => {
        const start = sizes.slice(0, index).reduce((a, b) => a + b, 0);
        const part = { ...target, UploadId, PartNumber: index + 1, Body: bytes.subarray(start, start + size) };
        return { PartNumber: index + 1, ETag: (await client.send(new UploadPartCommand(part))).ETag };
      }),
    );
    const complete = (Parts = parts) =>
      client.send(new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }));
    return { bytes, parts, UploadId, complete };
  }

  it('becomes one object when it is completed, and not before', async () => {
    const { bytes, complete } = await upload([5 * MIB, 5 * MIB, 7]);
    expect(created).toEqual([]);
    expect((await complete()).ETag).toMatch(/^"[0-9a-f]{32}-3"$/);
    const { Body, Metadata } = await client.send(new GetObjectCommand(target));
    expect(Buffer.from((await Body?.transformToByteArray()) ?? []).equals(bytes)).toBe(true);
    expect(Metadata).toEqual({ a: '1' });
    expect(created).toMatchObject([{ key: 'multi', size: bytes.length, reason: 'CompleteMultipartUpload' }]);
  });

  it('is refused with parts that are too small, out of order or unknown', async () => {
    const { parts, complete } = await upload([10, 5 * MIB]);
    await expect(complete()).rejects.toMatchObject({ name: 'EntityTooSmall' });
    await expect(complete([...parts].reverse())).rejects.toMatchObject({ name: 'InvalidPartOrder' });
    await expect(complete([{ PartNumber: 1, ETag: '"0"' }])).rejects.toMatchObject({ name: 'InvalidPart' });
  });

  it('can be aborted, and leaves nothing', async () => {
    const before = readdirSync(join(folder, 'content'));
    const { UploadId, complete } = await upload([10]);
    await client.send(new AbortMultipartUploadCommand({ ...target, UploadId }));
    expect(readdirSync(join(folder, 'content'))).toEqual(before);
    await expect(complete()).rejects.toMatchObject({ name: 'NoSuchUpload' });
  });
});

describe('a listing', () => {
  beforeAll(async () => {
    for (const key of ['list/a', 'list/b/1', 'list/b/2', 'list/c-', 'list/c/1', 'list/d']) await put(key, key);
  });
  const list = async (more: object) => {
    const page = await client.send(new ListObjectsV2Command({ Bucket: 'firmware', Prefix: 'list/', ...more }));
    const keys = [
      ...(page.Contents ?? []).map(({ Key }) => Key),
      ...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix),
    ];
    return { keys, next: page.NextContinuationToken };
  };

  it('has the keys with a prefix, in order', async () => {
    expect((await list({})).keys).toEqual(['list/a', 'list/b/1', 'list/b/2', 'list/c-', 'list/c/1', 'list/d']);
  });

  it('groups keys up to a delimiter', async () => {
    expect((await list({ Delimiter: '/' })).keys).toEqual(['list/a', 'list/c-', 'list/d', 'list/b/', 'list/c/']);
  });

  it('continues after each page without gaps and repetitions', async () => {
    const keys = [];
    for (let token: string | undefined, page = 0; page < 10 && (page === 0 || token); page++) {
      const { keys: some, next } = await list({ Delimiter: '/', MaxKeys: 2, ContinuationToken: token });
      keys.push(...some);
      token = next;
    }
    expect(keys.sort()).toEqual(['list/a', 'list/b/', 'list/c-', 'list/c/', 'list/d']);
  });
});

describe('buckets', () => {
  it('can be found and located, but not created', async () => {
    expect(await client.send(new HeadBucketCommand({ Bucket: 'firmware' }))).toMatchObject({ BucketRegion: REGION });
    expect(await client.send(new GetBucketLocationCommand({ Bucket: 'firmware' }))).toMatchObject({
      LocationConstraint: REGION,
    });
    await expect(client.send(new HeadBucketCommand({ Bucket: 'other' }))).rejects.toMatchObject({ name: 'NotFound' });
    await expect(put('k', 'x', { Bucket: 'other' })).rejects.toMatchObject({ name: 'NoSuchBucket' });
  });

  it('refuse an unsupported operation with an error that names it', async () => {
    await expect(client.send(new GetBucketAclCommand({ Bucket: 'firmware' }))).rejects.toMatchObject({
      name: 'NotImplemented',
      message: expect.stringContaining('GET bucket?acl'),
    });
  });
});

it('a listener is called for each new object, with an increasing sequencer', async () => {
  const { VersionId, ETag } = await put('event', 'one');
  await put('event', 'two');
  await client.send(new CopyObjectCommand({ Bucket: 'firmware', Key: 'event', CopySource: 'firmware/md5' }));
  expect(created.map(({ reason }) => reason)).toEqual(['PutObject', 'PutObject', 'CopyObject']);
  expect(created[0]).toMatchObject({ bucket: 'firmware', key: 'event', size: 3, versionId: VersionId });
  expect(created[0]).toMatchObject({ requester: '000000000000', sourceIp: '127.0.0.1' });
  expect(`"${created[0]?.etag}"`).toBe(ETag);
  const sequencers = created.map(({ sequencer }) => sequencer);
  expect([...sequencers].sort()).toEqual(sequencers);
  expect(new Set(sequencers).size).toBe(3);
});

describe('a role', () => {
  const releases = 'arn:aws:s3:::firmware/releases/*';
  const as = (...statements: object[]) => new S3Client(endpoints.role(...statements));
  const denied = { name: 'AccessDenied' };

  it('can do what its policy allows, on the keys that the policy names', async () => {
    const role = as(allow('s3:PutObject', releases));
    const write = (Key: string) => role.send(new PutObjectCommand({ Bucket: 'firmware', Key, Body: 'x' }));
    await write('releases/1');
    await expect(write('inbox/1')).rejects.toMatchObject(denied);
    await expect(role.send(new GetObjectCommand({ Bucket: 'firmware', Key: 'releases/1' }))).rejects.toMatchObject(
      denied,
    );
    await expect(role.send(new ListObjectsV2Command({ Bucket: 'firmware' }))).rejects.toMatchObject(denied);
  });

  it('needs another permission to read a version, and permissions for source and target to copy', async () => {
    const { VersionId } = await put('releases/v', 'x');
    const read = { Bucket: 'firmware', Key: 'releases/v' };
    const reader = as(allow('s3:GetObject', releases));
    await expect(reader.send(new GetObjectCommand({ ...read, VersionId }))).rejects.toMatchObject(denied);
    const copy = new CopyObjectCommand({ Bucket: 'firmware', Key: 'releases/w', CopySource: 'firmware/releases/v' });
    await expect(reader.send(copy)).rejects.toMatchObject(denied);
    await as(allow(['s3:GetObject', 's3:PutObject'], releases)).send(copy);
  });

  it('learns that a key does not exist only if it may list the bucket', async () => {
    const missing = new GetObjectCommand({ Bucket: 'firmware', Key: 'releases/missing' });
    const read = allow('s3:GetObject', releases);
    await expect(as(read).send(missing)).rejects.toMatchObject({ ...denied, $metadata: { httpStatusCode: 403 } });
    await expect(as(read, allow('s3:ListBucket', 'arn:aws:s3:::firmware')).send(missing)).rejects.toMatchObject({
      name: 'NoSuchKey',
    });
  });

  it('gives its permissions to its presigned URLs, also for plain HTTP clients', async () => {
    await put('releases/p', '0123456789');
    await put('inbox/p', 'secret');
    const url = (Key: string) =>
      getSignedUrl(as(allow('s3:GetObject', releases)), new GetObjectCommand({ Bucket: 'firmware', Key }));
    const part = await fetch(await url('releases/p'), { headers: { range: 'bytes=4-' } });
    expect([part.status, part.headers.get('content-length'), await part.text()]).toEqual([206, '6', '456789']);
    expect((await fetch(await url('inbox/p'))).status).toBe(403);
  });

  it('can presign an upload, whose headers are then query parameters', async () => {
    const upload = new PutObjectCommand({ Bucket: 'firmware', Key: 'presigned', Metadata: { a: '1' } });
    const response = await fetch(await getSignedUrl(client, upload), { method: 'PUT', body: 'bytes' });
    expect(response.status).toBe(200);
    expect(store.find('firmware', 'presigned')).toMatchObject({ size: 5, metadata: { a: '1' } });
  });
});

it('memory use does not grow with the size of an object', async () => {
  const size = 128 * MIB;
  const piece = Buffer.alloc(MIB, 1);
  const before = process.memoryUsage().rss;
  let highest = 0;
  const watch = () => {
    highest = Math.max(highest, process.memoryUsage().rss);
  };
  function* pieces() {
    for (let sent = 0; sent < size; sent += piece.length) {
      watch();
      yield piece;
    }
  }
  await put('large', Readable.from(pieces()), { ContentLength: size });
  const { Body } = await client.send(new GetObjectCommand({ Bucket: 'firmware', Key: 'large' }));
  let read = 0;
  for await (const bytes of Body as Readable) {
    read += bytes.length;
    watch();
  }
  expect(read).toBe(size);
  expect(highest - before).toBeLessThan(size / 2);
});
