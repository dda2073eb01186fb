import { expect, test } from 'vitest';
import { uploaderText } from '../../api/uploader-text.ts';
import { caller } from '../../cli/text/index.ts';

const ANNA = 'arn:aws:iam::111122223333:user/anna';

test.each([
  [ANNA, '111122223333', '203.0.113.7', 'user/anna, from 203.0.113.7'],
  [ANNA, null, null, 'user/anna'],
  [null, '111122223333', '203.0.113.7', 'put into S3 directly, by account 111122223333, from 203.0.113.7'],
  [null, 'replication.s3.amazonaws.com', null, 'put into S3 directly, by replication.s3.amazonaws.com'],
  [null, null, null, 'put into S3 directly'],
])('an upload requested by %s and put by %s from %s is shown as: %s', (requested_by, put_by, put_from, text) => {
  expect(uploaderText({ requested_by, put_by, put_from }, caller)).toBe(text);
});
