import { describe, expect, it } from 'vitest';
import { type InstallJob, installImage } from '../../fleet/install-image.ts';
import type { Progress } from '../../fleet/ota-payload.ts';
import { makeImage, S3, sha256 } from './images.ts';
import { hastyClock } from './test-clock.ts';

const IMAGE = makeImage(S3, 10_000);
const NEVER = new AbortController().signal;

function job(overrides: Partial<InstallJob> = {}) {
  const reports: Progress[] = [];
  const made: InstallJob = {
    command: { url: 'http://x/y', checksum: sha256(IMAGE), version: '1.1.0' },
    chip: 'ESP32-S3',
    otaPartitionBytes: 20_000,
    selectsBeforeVerifying: false,
    clock: hastyClock(),
    open: async () => ({ contentLength: IMAGE.length, body: pieces(IMAGE, 100) }),
    report: (progress) => reports.push(progress),
    ...overrides,
  };
  return { job: made, reports };
}

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe('an installation', () => {
  it('reports progress once per second, however many chunks arrive', async () => {
    const { job: slow, reports } = job({ bytesPerSecond: 1000 });

    await installImage(slow, NEVER);

    const downloading = reports.filter(({ state }) => state === 'Downloading');
    expect(downloading).toHaveLength(11);
    expect(downloading[3]).toEqual({
      state: 'Downloading',
      downloadedBytes: 3000,
      totalBytes: 10_000,
      elapsedMs: 3000,
    });
  });

  it('reports its last progress when it fails', async () => {
    const { job: wrong, reports } = job({ command: { url: '', checksum: 'f'.repeat(64), version: '1' } });

    const outcome = await installImage(wrong, NEVER);

    expect(outcome).toMatchObject({ code: 3, message: 'Verification failed' });
    expect(reports.at(-1)).toMatchObject({ state: 'Failed', downloadedBytes: 10_000 });
  });

  it('fails with code 2 when fewer bytes arrive than announced', async () => {
    const short = job({ open: async () => ({ contentLength: 10_001, body: pieces(IMAGE, 100) }) });

    expect(await installImage(short.job, NEVER)).toMatchObject({ code: 2 });
  });

  it('refuses an image by the first byte without reading more', async () => {
    const page = makeImage(S3, 10_000, 0x3c);
    const { job: wrong, reports } = job({ open: async () => ({ contentLength: 10_000, body: pieces(page, 100) }) });

    const outcome = await installImage(wrong, NEVER);

    expect(outcome).toMatchObject({ code: 9, reason: 'the image starts with 0x3c, expected 0xe9' });
    expect(reports.at(-1)?.downloadedBytes).toBe(0);
  });

  it('compares checksums without regard to case', async () => {
    const checksum = sha256(IMAGE).toUpperCase();

    expect(await installImage(job({ command: { url: '', checksum, version: '1' } }).job, NEVER)).toMatchObject({
      code: 0,
    });
  });

  it('throws errors that are not an outcome of an installation', async () => {
    const broken = job({ open: () => Promise.reject(new TypeError('a bug')) });

    await expect(installImage(broken.job, NEVER)).rejects.toThrow('a bug');
  });
});
