import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { CopyObjectCommand, GetObjectCommand, NoSuchKey, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { signManifest } from '../../../core/image/index.ts';
import { modelsSchema, signingSchema } from '../../../core/release-policy/index.ts';
import { buildImage } from '../../../fleet/build-image.ts';
import { registerUpload } from '../../../lambdas/register-release/register-upload.ts';
import { findDescribedUpload } from '../../../lambdas/register-release/signed-upload.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { mockClient } from '../../support/mock-client.ts';
import { addDevices } from '../../support/rows.ts';
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
  putBy: null,
  putFrom: null,
  requestedBy: null,
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
  const manifest = {
    ...{ model: 'van', version: '1.0.0', size: image.length, secureVersion: 0, minVersion: null, expires: null },
    sha256: createHash('sha256').update(image).digest('hex'),
  };
  const signature = Buffer.from(signManifest(manifest, p256.privateKey));
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

const none = { models: modelsSchema.parse({}), signing: signingSchema.parse({}) };
const registerAs = (path: string) => {
  s3.on(GetObjectCommand, { Key: path }).callsFake(() => ({ Body: Readable.from([image]), Metadata: {} }));
  return registerUpload(db.app, { ...upload, key: path }, none, new Date('2026-03-01T00:00:01Z'));
};

test.each([
  ['firmware/1.0.0/esp32-s3.bin.gz', 'is compressed: unpack it first'],
  ['firmware/1.0.0/esp32-s3.elf', "is the build's ELF file"],
  ['firmware/1.0.0/esp32-s3', 'did you mean firmware/1.0.0/esp32-s3.bin?'],
  ['firmware/1.0.0/esp32-s3.BIN', 'did you mean firmware/1.0.0/esp32-s3.bin?'],
  ['firmware/esp32-s3/1.3.7.bin', 'did you mean firmware/1.3.7/esp32-s3.bin?'],
  ['firmware/1.0.0/1.0.0.bin', 'names the version 1.0.0 as its model'],
  ['firmware/esp32-s3/v2.bin', 'did you mean firmware/v2/esp32-s3.bin?'],
  ['firmware/esp32-s3/20261130.bin', 'did you mean firmware/20261130/esp32-s3.bin?'],
  ['firmware/ESP32-S3/1.3.7rc1.bin', 'did you mean firmware/1.3.7rc1/esp32-s3.bin?'],
  ['firmware/esp32-s3/firmware.bin', 'names the model esp32-s3 as its version'],
  ['firmware/1.0.0/esp32-s3.bin.bin', 'did you mean firmware/1.0.0/esp32-s3.bin?'],
  ['firmware/1.0.0/sketch.ino.bin', 'did you mean firmware/1.0.0/sketch.bin?'],
  ['firmware/1.0.0/esp32-s3.merged.bin', 'a merged flash image'],
  ['firmware/1.0.0/esp32-s3.tgz', 'is compressed: unpack it first'],
  ['firmware/1.0.0/esp32-s3.sig', 'a signature lies beside its image: did you mean firmware/1.0.0/esp32-s3.bin.sig?'],
  ['firmware/esp32-s3.bin.sig', 'a signature lies beside its image, for example firmware/1.2.0/esp32-s3.bin.sig'],
  ['firmware/esp32-s3.bin', 'upload it to firmware/{version}/{model}.bin'],
  ['firmware/README.md', 'upload it to firmware/{version}/{model}.bin'],
  ['firmware/1.0.0/esp32-s3/app.bin', 'upload it to firmware/{version}/{model}.bin'],
  ['esp32-s3.bin', 'upload it to firmware/{version}/{model}.bin'],
])('rejects %s and says why', async (path, why) => {
  expect(await registerAs(path)).toMatchObject({
    kind: 'rejected',
    verdict: 'WRONG_PATH',
    message: expect.stringContaining(why),
  });
});

test.each(['firmware/1.0.0-esp32-s3/van.bin', 'firmware/esp32-s3-1.2.0/van.bin', 'firmware/1.0.0/8266.bin'])(
  'takes %s, whose parts are where they belong',
  async (path) => {
    await db.empty();
    expect(await registerAs(path)).toMatchObject({ kind: 'registered' });
  },
);

test('refuses a version that is registered in another spelling, whatever its bytes', async () => {
  await db.empty();
  expect(await registerAs('firmware/1.2.0/pump.bin')).toMatchObject({ kind: 'registered' });
  for (const version of ['v1.2.0', 'V1.2.0'])
    expect(await registerAs(`firmware/${version}/pump.bin`)).toMatchObject({
      kind: 'rejected',
      verdict: 'VERSION_EXISTS',
      message: `pump ${version} is registered as 1.2.0, which is the same version; upload it under a new version`,
    });
  expect(await registerAs('firmware/1.2/pump.bin')).toMatchObject({ kind: 'registered' });
  expect(await registerAs('firmware/v2.0.0/pump.bin')).toMatchObject({ kind: 'registered' });
  expect(await registerAs('firmware/2.0.0/pump.bin')).toMatchObject({ verdict: 'VERSION_EXISTS' });
});

test('registers one of two spellings of a version that are verified at the same moment', async () => {
  await db.empty();
  const keys = ['firmware/1.2.0/pump.bin', 'firmware/v1.2.0/pump.bin'];
  for (const path of keys)
    s3.on(GetObjectCommand, { Key: path }).callsFake(() => ({ Body: Readable.from([image]), Metadata: {} }));
  // Each is stored only after both have found that the version is not registered.
  let copies = 0;
  let bothCopied = () => {};
  const copied = new Promise<void>((resolve) => {
    bothCopied = resolve;
  });
  s3.on(CopyObjectCommand).callsFake(async () => {
    if (++copies === keys.length) bothCopied();
    await copied;
    return {};
  });
  const outcomes = await Promise.all(
    keys.map((path) => registerUpload(db.app, { ...upload, key: path }, none, new Date('2026-03-01T00:00:01Z'))),
  );
  expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['registered', 'rejected']);
});

test('rejects a version that is the name of a model that devices report', async () => {
  await db.empty();
  await addDevices(db.app, 1, { model: 'van' });
  expect(await registerAs('firmware/Van/2.bin')).toMatchObject({
    kind: 'rejected',
    verdict: 'WRONG_PATH',
    message: expect.stringContaining('did you mean firmware/2/van.bin?'),
  });
});

test.each([
  ['a folder that the S3 console created', { key: 'firmware/1.0.0/', sizeBytes: 0 }],
  ['an object of another purpose outside firmware/', { key: 'notes/plan.txt', sizeBytes: 10 }],
])('ignores %s', async (_, object) => {
  expect(await registerUpload(db.app, { ...upload, ...object }, none, new Date())).toEqual({ kind: 'ignored' });
});

test('a signature that lies beside no image is an upload of its own, which is rejected', async () => {
  const misplaced = { ...upload, key: 'firmware/1.0.0/van.sig' };
  expect(await findDescribedUpload(misplaced, settings)).toEqual(misplaced);
  expect(await findDescribedUpload({ ...upload, key: 'notes/plan.sig' }, settings)).toBeUndefined();
});

test('names a Git LFS pointer and how to get the file', async () => {
  const pointer = Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1048576\n');
  const path = 'firmware/1.0.0/esp32-s3.bin';
  s3.on(GetObjectCommand, { Key: path }).callsFake(() => ({ Body: Readable.from([pointer]), Metadata: {} }));
  const object = { ...upload, key: path, sizeBytes: pointer.length };
  expect(await registerUpload(db.app, object, none, new Date())).toMatchObject({
    kind: 'rejected',
    verdict: 'GIT_LFS_POINTER',
    message: expect.stringContaining('git lfs pull'),
  });
});

test.each([
  ['esp32s3', 'no device reports the model esp32s3; did you mean esp32-s3?'],
  ['boat', 'no device reports the model boat; devices report: esp32-s3'],
  ['esp32-s3', undefined],
])('warns of a release for a model that no device has: %s', async (model, message) => {
  await db.empty();
  await addDevices(db.app, 1);
  expect(await registerAs(`firmware/1.0.0/${model}.bin`)).toMatchObject({ kind: 'registered' });
  const [release] = await db.app.query<{ warnings: { code: string; message: string }[] }>(
    'SELECT warnings FROM firmware_releases',
  );
  expect(release?.warnings.find(({ code }) => code === 'UNKNOWN_MODEL')?.message).toBe(message);
});

test('does not warn of a model before there are devices', async () => {
  await db.empty();
  await registerAs('firmware/1.0.0/boat.bin');
  expect(
    await db.app.query('SELECT 1 FROM firmware_releases WHERE warnings::text LIKE :code', { code: '%UNKNOWN_MODEL%' }),
  ).toEqual([]);
});

/** Uploads an image for the model van, and returns the outcome with the codes of the release's warnings. */
async function registerImage(version: string, options: Parameters<typeof buildImage>[0] = {}, metadata = {}) {
  const bytes = buildImage({ version, codeBytes: 4_000, ...options });
  const path = `firmware/${version}/van.bin`;
  s3.on(GetObjectCommand, { Key: path }).callsFake(() => ({ Body: Readable.from([bytes]), Metadata: metadata }));
  const object = { ...upload, key: path, sizeBytes: bytes.length };
  const outcome = await registerUpload(db.app, object, none, new Date('2026-03-01T00:00:01Z'));
  const [release] = await db.app.query<{ warnings: { code: string }[] }>(
    'SELECT warnings FROM firmware_releases WHERE version = :version',
    { version },
  );
  return { ...outcome, warnings: release?.warnings.map(({ code }) => code) };
}

test('refuses an image of another project, and takes it if the uploader allows it', async () => {
  await db.empty();
  await registerImage('1.0.0', { project: 'heater' });
  const lock = await registerImage('1.1.0', { project: 'lock' });
  expect(lock).toMatchObject({ kind: 'rejected', verdict: 'OTHER_PROJECT' });
  expect(lock).toHaveProperty(
    'message',
    expect.stringMatching(/"lock", releases of model van are of "heater".*--allow/),
  );
  expect(await registerImage('1.1.0', { project: 'lock' }, { allow: 'OTHER_PROJECT' })).toMatchObject({
    kind: 'registered',
    warnings: ['OTHER_PROJECT'],
  });
  expect(await registerImage('1.2.0', { project: 'lock' })).toMatchObject({ kind: 'registered', warnings: [] });
  expect(await registerImage('1.3.0', {}, { allow: 'everything' })).toMatchObject({ verdict: 'BAD_METADATA' });
});

test('a release that was revoked is not the one before, and its project does not count', async () => {
  await db.empty();
  await registerImage('1.0.0', { project: 'heater' });
  await registerImage('1.1.0', { project: 'lock' }, { allow: 'OTHER_PROJECT' });
  await db.app.query(`UPDATE firmware_releases SET revoked_at = now(), revoked_reason = 'no' WHERE version = '1.1.0'`);
  expect(await registerImage('1.2.0', { project: 'lock' })).toMatchObject({ verdict: 'OTHER_PROJECT' });
});

test('warns of an unsigned image after signed ones', async () => {
  await db.empty();
  const codeBytes = 200_000;
  const signWith = [signingKeys().rsa.privateKey];
  expect(await registerImage('1.0.0', { codeBytes, signWith })).toMatchObject({ kind: 'registered' });
  expect(await registerImage('1.1.0', { codeBytes, signWith })).toMatchObject({ kind: 'registered' });
  expect(await registerImage('1.2.0', { codeBytes })).toMatchObject({ kind: 'registered', warnings: ['NO_SIGNATURE'] });
});

test('has no warning for each release of an Arduino sketch', async () => {
  await db.empty();
  const arduino = { version: 'esp-idf: v4.4.5 ac5d805d0e', project: 'arduino-lib-builder' };
  for (const version of ['1.0.0', '1.1.0']) {
    expect(await registerImage(version, arduino)).toMatchObject({ kind: 'registered', warnings: [] });
  }
});
