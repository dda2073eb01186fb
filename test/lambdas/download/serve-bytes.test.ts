import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { mockClient } from 'aws-sdk-client-mock';
import { expect, test } from 'vitest';
import { serveBytes } from '../../../lambdas/download/serve-bytes.ts';

const s3 = mockClient(S3Client);

test('a device that asks for what comes after the last byte is told so', async () => {
  s3.on(GetObjectCommand).rejects(Object.assign(new Error('beyond'), { name: 'InvalidRange' }));
  expect(await serveBytes('bucket', 'key', 'bytes=1000-')).toMatchObject({ statusCode: 416 });
});

test('another failure of S3 is one', async () => {
  s3.on(GetObjectCommand).rejects(Object.assign(new Error('away'), { name: 'InternalError' }));
  await expect(serveBytes('bucket', 'key', undefined)).rejects.toThrow('away');
});
