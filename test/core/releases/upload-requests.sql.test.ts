import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { sweepHistory } from '../../../core/orchestrator/index.ts';
import {
  forgetRejectedUpload,
  getRelease,
  insertRelease,
  listRejectedUploads,
  matchUploadRequest,
  type NewRelease,
  recordRejectedUpload,
  recordUploadRequest,
} from '../../../core/releases/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';

const ANNA = 'arn:aws:iam::111122223333:user/anna';
const NOW = new Date('2026-03-01T00:00:00Z');
const token = 'T'.repeat(43);
const objectKey = 'firmware/1.0.0/van.bin';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await recordUploadRequest(db.roles.control, { token, objectKey, requestedBy: ANNA }, NOW);
});

const match = (changed: object = {}) =>
  matchUploadRequest(db.roles.control, { token, objectKey, objectVersion: 'v1', ...changed });

test('the token of a request names who requested the upload of this key, also when the event comes twice', async () => {
  expect(await match()).toBe(ANNA);
  expect(await match()).toBe(ANNA);
});

test('a token that was copied to another key has no requester there, and still has one at its own', async () => {
  expect(await match({ objectKey: 'firmware/9.9.9/van.bin' })).toBeNull();
  expect(await match()).toBe(ANNA);
});

test('a token that is used again for other bytes at the same key has no requester', async () => {
  expect(await match()).toBe(ANNA);
  expect(await match({ objectVersion: 'v2' })).toBeNull();
  expect(await match()).toBe(ANNA);
});

test('of two object versions that are verified at the same time one uses the token', async () => {
  const found = await Promise.all([match({ objectVersion: 'v1' }), match({ objectVersion: 'v2' })]);
  expect(found.filter((each) => each !== null)).toEqual([ANNA]);
});

test.each(['', 'x', 'U'.repeat(43), `${token}' OR true --`, 'T'.repeat(100_000)])(
  'a token that was never given out has no requester: case %#',
  async (other) => {
    expect(await match({ token: other })).toBeNull();
  },
);

test('a request is deleted with the rest of the history', async () => {
  const days = (count: number) => new Date(NOW.getTime() + count * 86_400_000);
  await sweepHistory(db.app, 10, days(9));
  expect(await db.app.query('SELECT 1 FROM upload_requests')).toHaveLength(1);
  await sweepHistory(db.app, 10, days(11));
  expect(await db.app.query('SELECT 1 FROM upload_requests')).toEqual([]);
});

const put = { requestedBy: ANNA, putBy: '111122223333', putFrom: '203.0.113.7' };
const unknownUploader = { requestedBy: null, putBy: null, putFrom: null };
const rejected = {
  ...{ objectKey, objectVersion: 'v1', sizeBytes: 5, verdict: 'UNSIGNED', message: 'not signed', image: {} },
  uploadedAt: NOW,
};
const release: NewRelease = {
  ...{ version: '1.0.0', deviceModel: 'van', objectKey: 'releases/a.bin', sizeBytes: 5, sha256: 'a'.repeat(64) },
  ...{ chip: 'ESP32-S3', projectName: null, appVersion: null, minVersion: null, changelog: null, releaseNotes: null },
  ...{ isSigned: false, signingKey: null, signatureExpiresAt: null, manifest: null, manifestSignature: null },
  ...{ image: {}, warnings: [], uploadedKey: objectKey, uploadedVersion: 'v1' },
  ...unknownUploader,
};
const uploader = { requested_by: ANNA, put_by: '111122223333', put_from: '203.0.113.7' };

test('a rejected upload keeps who uploaded it when it is verified again, by an event that does not say so', async () => {
  await recordRejectedUpload(db.roles.control, { ...rejected, ...put });
  await recordRejectedUpload(db.roles.control, { ...rejected, ...unknownUploader });
  expect(await listRejectedUploads(db.roles.control, null, 10)).toMatchObject([uploader]);
});

test('so does the release that it becomes', async () => {
  await recordRejectedUpload(db.roles.control, { ...rejected, ...put });
  await insertRelease(db.roles.control, release, NOW);
  await forgetRejectedUpload(db.roles.control, objectKey, 'v1');
  expect(await getRelease(db.roles.control, 'van', '1.0.0')).toMatchObject(uploader);
});

test('a release does not name who uploaded other bytes at the same key', async () => {
  await recordRejectedUpload(db.roles.control, { ...rejected, ...put, objectVersion: 'v0' });
  await insertRelease(db.roles.control, { ...release, putBy: '444455556666' }, NOW);
  expect(await getRelease(db.roles.control, 'van', '1.0.0')).toMatchObject({
    requested_by: null,
    put_by: '444455556666',
    put_from: null,
  });
});
