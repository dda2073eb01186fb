import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CHIPS } from '../../../core/image/chips.ts';

import { type InspectOptions, inspectImage } from '../../../core/image/inspect-image.ts';
import { buildImage } from '../../../fleet/build-image.ts';

async function* chunksOf(bytes: Buffer, size = 4_096): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const inspect = (bytes: Buffer, options: Partial<InspectOptions> = {}, chunkSize?: number) =>
  inspectImage(chunksOf(bytes, chunkSize), { sizeBytes: bytes.length, ...options });

const verdictOf = async (bytes: Buffer, options?: Partial<InspectOptions>) => (await inspect(bytes, options)).verdict;

const image = buildImage({ chip: 'ESP32-S3', version: '1.2.3', project: 'van', codeBytes: 20_000 });

/** The image with some bytes replaced and its appended hash corrected unless `rehash` is false. */
function changed(change: (bytes: Buffer) => void, rehash = true): Buffer {
  const bytes = Buffer.from(image);
  change(bytes);
  if (rehash)
    createHash('sha256')
      .update(bytes.subarray(0, -32))
      .digest()
      .copy(bytes, bytes.length - 32);
  return bytes;
}

describe('an application image', () => {
  test.each(CHIPS.map(({ name }) => name))('for %s is accepted, with its chip', async (chip) => {
    const { verdict, image: parsed, sha256, warnings } = await inspect(buildImage({ chip }));
    expect({ verdict, chip: parsed?.chip, warnings }).toEqual({ verdict: 'ACCEPT', chip, warnings: [] });
    expect(sha256).toBe(createHash('sha256').update(buildImage({ chip })).digest('hex'));
  });

  test('is parsed with its description', async () => {
    const { image: parsed } = await inspect(image);
    expect(parsed?.descriptor).toMatchObject({
      version: '1.2.3',
      projectName: 'van',
      idfVersion: 'v5.5.1',
      date: 'Jan  1 2026',
    });
  });

  test('without an appended hash is accepted with a warning', async () => {
    const { verdict, warnings } = await inspect(buildImage({ hash: false }));
    expect([verdict, warnings.map(({ code }) => code)]).toEqual(['ACCEPT', ['NO_APPENDED_HASH']]);
  });

  test('may be followed by padding, but not by other bytes', async () => {
    expect(await verdictOf(Buffer.concat([image, Buffer.alloc(5_000, 0xff)]))).toBe('ACCEPT');
    expect(await verdictOf(Buffer.concat([image, Buffer.alloc(5_000)]))).toBe('ACCEPT');
    expect(await verdictOf(Buffer.concat([image, Buffer.from('something')]))).toBe('TRAILING_DATA');
    expect(await verdictOf(Buffer.concat([image, Buffer.alloc(100, 0xff), Buffer.from([1])]))).toBe('TRAILING_DATA');
  });

  test('for an ESP8266 is accepted only if the model has one', async () => {
    const esp8266 = buildImage({ chip: 'ESP8266' });
    expect(await verdictOf(esp8266)).toBe('ESP8266_V1');
    expect(await inspect(esp8266, { acceptEsp8266: true })).toMatchObject({
      verdict: 'ACCEPT',
      image: { chip: 'ESP8266' },
    });
    expect(await verdictOf(esp8266.subarray(0, -20), { acceptEsp8266: true })).toBe('TRUNCATED_SEGMENT');
  });
});

describe('gives the right verdict for', () => {
  const cases: [string, Buffer, string][] = [
    ['a flipped byte of code', changed((b) => b.writeUInt8((b[1_000] ?? 0) ^ 1, 1_000)), 'CHECKSUM_MISMATCH'],
    [
      'a flipped byte of the header, which only the hash sees',
      changed((b) => b.writeUInt8(1, 4), false),
      'HASH_MISMATCH',
    ],
    ['an unknown chip', changed((b) => b.writeUInt16LE(777, 12)), 'UNKNOWN_CHIP_ID'],
    ['a hash flag of 2', changed((b) => b.writeUInt8(2, 23)), 'BAD_HASH_FLAG'],
    ['no segments', changed((b) => b.writeUInt8(0, 1)), 'BAD_SEGMENT_COUNT'],
    ['17 segments', changed((b) => b.writeUInt8(17, 1)), 'BAD_SEGMENT_COUNT'],
    ['a segment of odd length', changed((b) => b.writeUInt32LE(511, 28)), 'SEGMENT_UNALIGNED'],
    ['a segment that would overflow', changed((b) => b.writeUInt32LE(0xfffffffc, 28)), 'SEGMENT_TOO_LARGE'],
    ['a segment past the end', changed((b) => b.writeUInt32LE(1_000_000, 28)), 'TRUNCATED_SEGMENT'],
    [
      'a load address that does not fit the MMU page',
      changed((b) => b.writeUInt32LE(0x3c000024, 24)),
      'SEGMENT_MISALIGNED',
    ],
    [
      'no segment in flash',
      changed((b) => {
        b.writeUInt32LE(0x3fc88000, 24);
        b.writeUInt32LE(0x40374000, 24 + 8 + 512);
      }),
      'NO_FLASH_SEGMENTS',
    ],
    ['no description', buildImage({ descriptor: false }), 'NO_APP_DESCRIPTOR'],
    ['20 bytes', image.subarray(0, 20), 'TRUNCATED_HEADER'],
    ['an empty file', Buffer.alloc(0), 'EMPTY'],
    ['only FF', Buffer.alloc(100_000, 0xff), 'BLANK'],
    ['an ELF file', Buffer.from('7f454c46010101000000000000000000020000005e00', 'hex'), 'ELF'],
    ['gzip', Buffer.from('1f8b0800', 'hex'), 'GZIP'],
    ['zip', Buffer.from('504b0304', 'hex'), 'ZIP'],
    ['Intel HEX', Buffer.from(':020000040800F2\n'), 'INTEL_HEX'],
    ['a web page', Buffer.from('\n <!DOCTYPE html>'), 'WEB_PAGE'],
    ['JSON', Buffer.from('{"error": "not found"}'), 'JSON'],
    ['text-mangled bytes', Buffer.from('\uFFFD\u0005'), 'TEXT_MANGLED'],
    ['the NONOS format', Buffer.from('ea04000000000000', 'hex'), 'ESP8266_V2'],
    ['anything else', Buffer.from('hello'), 'NOT_ESP_IMAGE'],
  ];
  test.each(cases)('%s', async (_, bytes, verdict) => {
    expect(await verdictOf(bytes)).toBe(verdict);
  });

  test('a file over the limit, without reading it', async () => {
    async function* untouched(): AsyncGenerator<Uint8Array> {
      yield await Promise.reject(new Error('was read'));
    }
    expect((await inspectImage(untouched(), { sizeBytes: 17 * 1024 * 1024 })).verdict).toBe('TOO_LARGE');
  });

  test('an image without a description, which the model may allow', async () => {
    expect(await verdictOf(buildImage({ descriptor: false }), { allowWithoutDescriptor: true })).toBe('ACCEPT');
  });

  test('a full flash image, naming the application inside it', async () => {
    const table = Buffer.alloc(32);
    table.set([0xaa, 0x50, 0, 0x10]);
    table.writeUInt32LE(0x10000, 4);
    table.writeUInt32LE(0x100000, 8);
    const flash = Buffer.alloc(0x10000, 0xff);
    buildImage({ codeBytes: 4_000 }).copy(flash);
    table.copy(flash, 0x8000);
    const fromZero = await inspect(Buffer.concat([flash, image]));
    expect(fromZero.verdict).toBe('MERGED_FLASH_IMAGE');
    expect(fromZero.message).toContain('partition table at 0x8000');
    expect(fromZero.message).toContain('the application in it is at 0x10000 (van 1.2.3)');
    const classic = Buffer.alloc(0x10000, 0xff);
    buildImage({ chip: 'ESP32', codeBytes: 4_000 }).copy(classic, 0x1000);
    table.copy(classic, 0x8000);
    expect((await inspect(Buffer.concat([classic, image]))).message).toContain('bootloader at 0x1000');
  });
});

describe('for any bytes', () => {
  const small = buildImage({ codeBytes: 600 });

  test('the chunks do not affect the result', async () => {
    const whole = await inspect(image);
    for (const size of [1, 7, 31, 4_096, 100_000]) expect(await inspect(image, {}, size)).toEqual(whole);
  });

  test('a file truncated at any length is never accepted', async () => {
    for (let length = 0; length < small.length; length++)
      expect(await verdictOf(small.subarray(0, length))).not.toBe('ACCEPT');
  });

  test('a changed byte is never accepted', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(small.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
        const bytes = Buffer.from(small);
        bytes.writeUInt8((bytes[at] ?? 0) ^ mask, at);
        return (await verdictOf(bytes)) !== 'ACCEPT';
      }),
      { numRuns: 1_000 },
    );
  });

  test('the inspection ends with a verdict', async () => {
    const start = fc.constantFrom(
      Buffer.alloc(0),
      Buffer.from([0xe9]),
      small.subarray(0, 24),
      small.subarray(0, 60),
      Buffer.from([0xff]),
    );
    await fc.assert(
      fc.asyncProperty(start, fc.uint8Array({ maxLength: 3_000 }), fc.boolean(), async (head, rest, acceptEsp8266) => {
        const { verdict, message } = await inspect(Buffer.concat([head, rest]), {
          acceptEsp8266,
          allowWithoutDescriptor: true,
        });
        return verdict.length > 0 && message.length > 0;
      }),
      { numRuns: 2_000 },
    );
  });

  test('memory use does not grow with the file', async () => {
    const large = buildImage({ codeBytes: 12 * 1024 * 1024 });
    // All chunks share one buffer: a parser that kept a reference would read overwritten bytes and give a wrong
    // verdict.
    const window = Buffer.alloc(64 * 1024);
    async function* reused(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < large.length; at += window.length) {
        const length = large.copy(window, 0, at, at + window.length);
        yield window.subarray(0, length);
      }
    }
    expect((await inspectImage(reused(), { sizeBytes: large.length })).verdict).toBe('ACCEPT');
  });
});
