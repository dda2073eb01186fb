import { expect, test } from 'vitest';
import { parseUploadEvent } from '../../../lambdas/register-release/upload-event.ts';
import { objectCreatedEvent } from '../../../local/services/s3/index.ts';

const event = objectCreatedEvent({
  ...{ bucket: 'firmware', key: 'firmware/1.0.0/van.bin', size: 3, etag: 'abc', versionId: 'v1', sequencer: '01' },
  ...{ reason: 'PutObject', requester: '111122223333', sourceIp: '203.0.113.7' },
});
const parse = (changed: object) =>
  parseUploadEvent(JSON.stringify({ ...event, time: '2026-03-01T00:00:00Z', detail: { ...event.detail, ...changed } }));

test('an event of S3 says which account put the object, and from which address', () => {
  expect(parse({})).toMatchObject({ putBy: '111122223333', putFrom: '203.0.113.7' });
  expect(parse({ requester: 'replication.s3.amazonaws.com' })).toMatchObject({ putBy: 'replication.s3.amazonaws.com' });
});

test('an event without them, such as that of a rescan, has no requester', () => {
  expect(parse({ requester: undefined, 'source-ip-address': undefined })).toMatchObject({ putBy: null, putFrom: null });
});

test.each([
  ['too long', 'x'.repeat(100_000)],
  ['a control character', '1111\u00002222'],
  ['a line break', '1111\n2222'],
  ['empty', ''],
  ['not text', 7],
])('a requester or address that is %s is not recorded, and does not keep the upload from its verdict', (_, text) => {
  expect(parse({ requester: text, 'source-ip-address': text })).toMatchObject({
    key: 'firmware/1.0.0/van.bin',
    putBy: null,
    putFrom: null,
  });
});

test.each([
  { bucket: { name: 'b'.repeat(256) } },
  { object: { ...event.detail.object, key: 'k'.repeat(1_025) } },
  { object: { ...event.detail.object, etag: 'e'.repeat(257) } },
  { object: { ...event.detail.object, 'version-id': 'v'.repeat(1_025) } },
])('text that is longer than S3 allows is refused: case %#', (detail) => {
  expect(() => parse(detail)).toThrow(/too_big|Too big/);
});
