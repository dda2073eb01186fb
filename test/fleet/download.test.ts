import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { VirtualDeviceOptions } from '../../fleet/device-options.ts';
import { createTestAuthority } from '../support/certificates.ts';
import { Bench } from './bench.ts';
import { ImageServer } from './image-server.ts';
import { makeImage, S3, sha256 } from './images.ts';

const IMAGE = makeImage(S3);
const CHECKSUM = sha256(IMAGE);

let bench: Bench;
beforeAll(async () => {
  bench = await Bench.open();
});
afterAll(() => bench.close());

async function resultOf(url: string, checksum: string, options: Partial<VirtualDeviceOptions> = {}) {
  const subject = await bench.connected(options);
  bench.command(subject, url, checksum, '1.1.0');
  return bench.broker.message(subject.id, '/ota/result');
}

describe('a download', () => {
  it('follows redirects with GET requests without Range', async () => {
    bench.images.serve('/target.bin', IMAGE);
    bench.images.redirect('/second', '/target.bin');
    const before = bench.images.requests.length;

    const result = await resultOf(bench.images.redirect('/first', `${bench.images.origin}/second`), CHECKSUM);

    expect(result).toMatchObject({ success: true });
    const requests = bench.images.requests.slice(before);
    expect(requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'GET /first',
      'GET /second',
      'GET /target.bin',
    ]);
    expect(requests.every(({ headers }) => headers.range === undefined)).toBe(true);
  });

  it('fails at a redirect to another port of the same host with the client of Arduino, which keeps the connection', async () => {
    const objects = await ImageServer.start();
    onTestFinished(() => objects.stop());
    const link = bench.images.redirect('/link', objects.serve('/object.bin', IMAGE));

    expect(await resultOf(link, CHECKSUM)).toMatchObject({ result_code: 2 });
    expect(objects.requests).toEqual([]);
  });

  it('keeps the Host header at a redirect to another port of the same host with the client of ESP-IDF', async () => {
    const objects = await ImageServer.start();
    onTestFinished(() => objects.stop());
    const link = bench.images.redirect('/link', objects.serve('/object.bin', IMAGE));

    expect(await resultOf(link, CHECKSUM, { httpClient: 'esp-idf' })).toMatchObject({ result_code: 0 });
    expect(objects.requests.map(({ headers }) => `http://${headers.host}`)).toEqual([bench.images.origin]);
  });

  it('follows 10 redirects and fails at the 11th', async () => {
    bench.images.serve('/r0', IMAGE);
    for (let left = 1; left <= 11; left += 1) bench.images.redirect(`/r${left}`, `/r${left - 1}`);

    expect(await resultOf(`${bench.images.origin}/r10`, CHECKSUM)).toMatchObject({ result_code: 0 });
    expect(await resultOf(`${bench.images.origin}/r11`, CHECKSUM)).toMatchObject({ result_code: 2 });
  });

  it('fails with code 2 on a chunked body', async () => {
    const url = bench.images.on('/chunked', (response) => {
      response.writeHead(200, { 'transfer-encoding': 'chunked' }).write(IMAGE.subarray(0, 100));
      response.end(IMAGE.subarray(100));
    });

    const result = await resultOf(url, CHECKSUM);

    expect(result).toMatchObject({ success: false, result_code: 2, message: 'Invalid content length' });
  });

  it('fails with code 2 on any status but 200', async () => {
    const gone = bench.images.on('/gone', (response) => response.writeHead(410).end());

    expect(await resultOf(gone, CHECKSUM)).toMatchObject({ result_code: 2, message: 'Download failed' });
  });

  it('fails with code 2 when the connection breaks off', async () => {
    const url = bench.images.on('/broken', (response) => {
      response.writeHead(200, { 'content-length': IMAGE.length });
      response.write(IMAGE.subarray(0, 1000), () => response.destroy());
    });

    expect(await resultOf(url, CHECKSUM)).toMatchObject({ result_code: 2 });
  });

  it('fails with code 2 when no server listens', async () => {
    const closed = await ImageServer.start();
    const { origin } = closed;
    await closed.stop();

    expect(await resultOf(`${origin}/x`, CHECKSUM)).toMatchObject({ result_code: 2 });
  });

  it('fails with code 7 when the server stops sending', async () => {
    const url = bench.images.on('/silent', (response) => {
      response.writeHead(200, { 'content-length': IMAGE.length }).write(IMAGE.subarray(0, 10));
    });

    expect(await resultOf(url, CHECKSUM, { socketTimeoutMs: 50 })).toMatchObject({
      result_code: 7,
      message: 'Timeout',
    });
  });

  it('fails with code 6 on a URL that is not for http or https', async () => {
    expect(await resultOf('firmware.bin', CHECKSUM)).toMatchObject({ result_code: 6, message: 'Invalid URL' });
  });

  it('fails half-way as often as configured, and then succeeds', async () => {
    const url = bench.images.serve('/good.bin', IMAGE);
    const subject = await bench.connected({ behaviours: { downloadFailsTimes: 1 } });
    bench.command(subject, url, CHECKSUM, '1.1.0');
    expect(await bench.broker.message(subject.id, '/ota/result')).toMatchObject({ result_code: 2 });

    bench.command(subject, url, CHECKSUM, '1.1.0');

    expect(await bench.broker.message(subject.id, '/ota/result', 2)).toMatchObject({ result_code: 0 });
  });
});

describe('a download over https', () => {
  it('works with the CA of the build, and without a CA', async () => {
    const server = await ImageServer.start(await bench.authority.issueServer());
    const url = server.serve('/good.bin', IMAGE);

    const verified = await resultOf(url, CHECKSUM, { imageCa: bench.authority.ca });
    const unverified = await resultOf(url, CHECKSUM);
    await server.stop();

    expect([verified.result_code, unverified.result_code]).toEqual([0, 0]);
  });

  it("fails with code 2 when the server's certificate is not signed by the CA of the build", async () => {
    const stranger = await createTestAuthority();
    const server = await ImageServer.start(await stranger.issueServer());

    const result = await resultOf(server.serve('/good.bin', IMAGE), CHECKSUM, { imageCa: bench.authority.ca });
    await server.stop();

    expect(result).toMatchObject({ result_code: 2 });
  });
});

describe('an image', () => {
  it('with a different SHA-256 than that of the command fails with code 3', async () => {
    const url = bench.images.serve('/good.bin', IMAGE);

    expect(await resultOf(url, '0'.repeat(64))).toMatchObject({ result_code: 3, message: 'Verification failed' });
  });

  it('is not compared with the checksum by an ESP8266, or if the command has none', async () => {
    const url = bench.images.serve('/good.bin', IMAGE);

    expect(await resultOf(url, '0'.repeat(64), { chip: 'ESP8266' })).toMatchObject({ result_code: 0 });
    expect(await resultOf(url, '')).toMatchObject({ result_code: 0 });
  });

  it('larger than the partition fails with code 8, and one of exactly its size is installed', async () => {
    const url = bench.images.serve('/good.bin', IMAGE);

    expect(await resultOf(url, CHECKSUM, { otaPartitionBytes: IMAGE.length - 1 })).toMatchObject({ result_code: 8 });
    expect(await resultOf(url, CHECKSUM, { otaPartitionBytes: IMAGE.length })).toMatchObject({ result_code: 0 });
  });

  it('fails with code 5 when there is no OTA partition', async () => {
    expect(await resultOf(bench.images.serve('/good.bin', IMAGE), CHECKSUM, { otaPartitionBytes: 0 })).toMatchObject({
      result_code: 5,
    });
  });

  it('fails with code 9 if it is not a valid image or is for another chip', async () => {
    const text = makeImage(S3, 4096, 0x3c);
    const esp32 = makeImage(0);

    const noImage = await resultOf(bench.images.serve('/page.html', text), sha256(text));
    const otherChip = await resultOf(bench.images.serve('/esp32.bin', esp32), sha256(esp32));

    expect([noImage.result_code, otherChip.result_code]).toEqual([9, 9]);
  });
});
