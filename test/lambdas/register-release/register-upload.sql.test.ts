import { sign } from 'node:crypto';
import { Readable } from 'node:stream';
import { CopyObjectCommand, GetObjectCommand, NoSuchKey, S3Client } from '@aws-sdk/client-s3';
import { mockClient } from 'aws-sdk-client-mock';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { modelsSchema, signingSchema } from '../../../core/policy/index.ts';
import { buildImage } from '../../../fleet/build-image.ts';
import { registerUpload } from '../../../lambdas/register-release/register-upload.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { signingKeys } from '../../support/signing-keys.ts';

const { p256 } = signingKeys();
const image = buildImage({ version: '1.0.0', codeBytes: 4_000 });
const key = 'firmware/1.0.0/van.bin';
const upload = {
  bucket: 'firmware',
  key,
  sizeBytes: image.length,
  etag: 'etag',
  versionId: 'v1',
  uploadedAt: new Date('2026-03-01T00:00:00Z'),
};
const settings = {
  models: modelsSchema.parse({ van: { chip: 'ESP32-S3', requireSignedFirmware: true } }),
  signing: signingSchema.parse({
    trustedPublicKeys: [p256.publicKey.export({ type: 'spki', format: 'pem' }).toString()],
  }),
};
const absent = new NoSuchKey({ message: 'not there', $metadata: {} });
const signed = (bytes: Buffer) => ({ Body: { transformToByteArray: async () => bytes }, ContentLength: bytes.length });

const s3 = mockClient(S3Client);
let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(() => {
  s3.reset();
  s3.on(GetObjectCommand, { Key: key }).callsFake(() => ({ Body: Readable.from([image]), Metadata: {} }));
  s3.on(CopyObjectCommand).resolves({});
});
const register = () => registerUpload(db.app, upload, settings, new Date('2026-03-01T00:00:01Z'));

test('finds a signature that arrives while its image is read, because its own event may already have been handled', async () => {
  const signature = sign('sha256', image, p256.privateKey);
  let reads = 0;
  s3.on(GetObjectCommand, { Key: `${key}.sig` }).callsFake(async () => {
    if (reads++ === 0) throw absent;
    return signed(signature);
  });
  expect(await register()).toMatchObject({ kind: 'registered', version: '1.0.0' });
});

test('refuses the image without a signature', async () => {
  s3.on(GetObjectCommand, { Key: `${key}.sig` }).rejects(absent);
  await db.empty();
  expect(await register()).toMatchObject({ kind: 'rejected', verdict: 'UNSIGNED' });
});
