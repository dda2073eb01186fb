import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LocalRuntime, startRuntime } from '../../../local/runtime/runtime.ts';
import { smallAssembly } from '../../support/local/small-assembly.ts';
import { MovableClock } from '../../support/movable-clock.ts';

const WEEK = 7 * 24 * 3600;
const TELLS_TIME = `export const handler = async ({ requestContext, pathParameters }, context) => ({
  asked: requestContext.timeEpoch, now: Date.now(), made: new Date(), isDate: new Date() instanceof Date,
  given: new Date(0), parts: new Date(2026, 0, 2).getDate(), millisecondsLeft: context.getRemainingTimeInMillis(),
})`;

const clock = new MovableClock();
let home: string;
let runtime: LocalRuntime;
let s3: S3Client;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'paku-home-'));
  const assembly = await smallAssembly({ download: TELLS_TIME });
  runtime = await startRuntime({ assembly, home, ports: { mqtt: 0, aws: 0, api: 0 }, clock });
  const { region, s3: bucket } = runtime.endpoints;
  s3 = new S3Client({ region, endpoint: bucket.endpoint, credentials: bucket });
});
afterAll(async () => {
  s3?.destroy();
  await runtime?.close();
  await rm(home, { recursive: true });
});

async function askFunction() {
  const answer = await fetch(`${runtime.endpoints.api.url}/d/when`);
  return (await answer.json()) as Record<'asked' | 'now' | 'parts' | 'millisecondsLeft', number> &
    Record<'made' | 'given', string> & { isDate: boolean };
}

test('a function sees the moved clock in every form of Date, and keeps its timeout', async () => {
  const before = await askFunction();
  await clock.advance(WEEK);
  const after = await askFunction();
  const moved = (to: number, from: number) => Math.floor((to - from) / 1000 / WEEK);
  expect([
    moved(after.now, before.now),
    moved(Date.parse(after.made), Date.parse(before.made)),
    moved(after.asked, before.asked),
  ]).toEqual([1, 1, 1]);
  expect(after).toMatchObject({ isDate: true, given: '1970-01-01T00:00:00.000Z', parts: 2 });
  expect(after.millisecondsLeft).toBeGreaterThan(5_000);
});

test('clients whose clock is behind retry with the time of the answer, and objects and links have the time of the moved clock', async () => {
  const Bucket = runtime.endpoints.s3.bucket;
  await s3.send(new PutObjectCommand({ Bucket, Key: 'a.bin', Body: 'x' }));
  const presign = () =>
    getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: 'a.bin' }), {
      expiresIn: 60,
      signingDate: new Date(clock.now()),
    });
  const link = await presign();
  expect((await fetch(link)).status).toBe(200);

  await clock.advance(WEEK);
  await s3.send(new PutObjectCommand({ Bucket, Key: 'b.bin', Body: 'x' }));
  const [a, b] = await Promise.all(['a.bin', 'b.bin'].map((Key) => s3.send(new HeadObjectCommand({ Bucket, Key }))));
  expect(Number(b?.LastModified) - Number(a?.LastModified)).toBeGreaterThanOrEqual(WEEK * 1000);
  expect((await fetch(link)).status).toBe(403);
  expect((await fetch(await presign())).status).toBe(200);
});
