import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { serveBytes } from '../../../lambdas/download/serve-bytes.ts';
import { mockClient } from '../../support/mock-client.ts';

const s3 = mockClient(S3Client);

test('responds 416 to a device that asks for bytes after the end', async () => {
  s3.on(GetObjectCommand).rejects(Object.assign(new Error('beyond'), { name: 'InvalidRange' }));
  expect(await serveBytes('bucket', 'key', 'bytes=1000-')).toMatchObject({ statusCode: 416 });
});

test('throws other errors of S3', async () => {
  s3.on(GetObjectCommand).rejects(Object.assign(new Error('away'), { name: 'InternalError' }));
  await expect(serveBytes('bucket', 'key', undefined)).rejects.toThrow('away');
});
