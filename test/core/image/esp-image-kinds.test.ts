import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chipOfModelName } from '../../../core/image/chips.ts';
import { type InspectOptions, inspectImage } from '../../../core/image/inspect-image.ts';
import { buildImage } from '../../../fleet/build-image.ts';

async function* pieces(bytes: Buffer, cuts: readonly number[] = []): AsyncGenerator<Uint8Array> {
  const ends = [...cuts.filter((cut) => cut <= bytes.length)].sort((a, b) => a - b);
  let from = 0;
  for (const end of [...ends, bytes.length]) {
    yield bytes.subarray(from, end);
    from = end;
  }
}
const inspect = (bytes: Buffer, options: Partial<InspectOptions> = {}) =>
  inspectImage(pieces(bytes), { sizeBytes: bytes.length, ...options });

const rehashed = (bytes: Buffer): Buffer => {
  const body = bytes.subarray(0, -32);
  return Buffer.concat([body, createHash('sha256').update(body).digest()]);
};

/** Replaces bytes of the first segment and corrects the checksum and the hash. */
function withBytes(image: Buffer, at: number, replacement: Buffer): Buffer {
  const copy = Buffer.from(image);
  const checksumAt = copy.length - 33;
  const before = copy.subarray(at, at + replacement.length).reduce((sum, byte) => sum ^ byte, 0);
  const after = replacement.reduce((sum, byte) => sum ^ byte, 0);
  replacement.copy(copy, at);
  copy.writeUInt8(copy.readUInt8(checksumAt) ^ before ^ after, checksumAt);
  return rehashed(copy);
}

const image = buildImage({ chip: 'ESP32-S3', version: '1.2.3', project: 'van', codeBytes: 20_000 });
const signer = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;

/** Moves both segments to RAM; the only check value that contains addresses is the hash. */
function inRam(source: Buffer): Buffer {
  const copy = Buffer.from(source);
  copy.writeUInt32LE(0x3fc88000, 24);
  copy.writeUInt32LE(0x40374000, 24 + 8 + copy.readUInt32LE(28));
  return rehashed(copy);
}

function partitionEntry(): Buffer {
  const entry = Buffer.alloc(32);
  entry.set([0xaa, 0x50, 0, 0x10]);
  entry.writeUInt32LE(0x10000, 4);
  entry.writeUInt32LE(0x100000, 8);
  return entry;
}

function otadata(): Buffer {
  const bytes = Buffer.alloc(0x2000, 0xff);
  bytes.writeUInt32LE(1, 0x1000);
  bytes.writeUInt32LE(crc32(bytes.subarray(0x1000, 0x1004), 0xffffffff), 0x101c);
  return bytes;
}

function uf2(family: number): Buffer {
  const bytes = Buffer.alloc(512);
  bytes.writeUInt32LE(0x0a324655, 0);
  bytes.writeUInt32LE(0x9e5d5157, 4);
  bytes.writeUInt32LE(0x2000, 8);
  bytes.writeUInt32LE(family, 28);
  return bytes;
}

describe('files that people upload by mistake', () => {
  const nvs = Buffer.alloc(0x3000, 0xff);
  nvs.writeUInt32LE(0xfffffffe, 0);
  nvs.writeUInt8(0xfe, 8);
  const littlefs = Buffer.alloc(4096);
  littlefs.set([1, 0, 0, 0]);
  littlefs.write('littlefs', 8);
  const bootloaderDescription = Buffer.alloc(80);
  bootloaderDescription.set([0x50]);
  bootloaderDescription.write('v5.5.1', 8);

  const cases: [string, Buffer, string, string][] = [
    ['a partition table', Buffer.concat([partitionEntry(), Buffer.alloc(3040, 0xff)]), 'PARTITION_TABLE', 'partition'],
    ['OTA data', otadata(), 'OTADATA', 'ota_seq=1'],
    ['an NVS partition', nvs, 'NVS', 'NVS'],
    ['a LittleFS image', littlefs, 'LITTLEFS', 'LittleFS'],
    ['UF2 of an Espressif chip', uf2(0xc47e5767), 'UF2', 'family ESP32-S3'],
    ['UF2 of another', uf2(0xe48bff56), 'UF2', 'family 0xe48bff56'],
    ['a JSON list', Buffer.from('\uFEFF[{"error": 1}]'), 'JSON', 'JSON'],
    ['zeros', Buffer.alloc(5_000), 'BLANK', 'every byte is 0x0'],
    ['a long run of FF and then something', Buffer.concat([Buffer.alloc(90_000, 0xff), image]), 'NOT_ESP_IMAGE', 'run'],
    ['encrypted bytes', Buffer.concat([Buffer.from([1]), randomBytes(8_000)]), 'NOT_ESP_IMAGE', 'encrypted'],
    ['a data image', Buffer.alloc(8192, 'ab'), 'NOT_ESP_IMAGE', 'file system'],
    ['a bootloader', withBytes(inRam(image), 32, bootloaderDescription), 'BOOTLOADER_IMAGE', 'idf v5.5.1'],
    ['a bootloader without a description', inRam(image), 'NO_FLASH_SEGMENTS', 'bootloader or RAM-only'],
  ];
  test.each(cases)('%s is named in the message', async (_, bytes, verdict, hint) => {
    const refused = await inspect(bytes);
    expect(refused.verdict).toBe(verdict);
    expect(refused.message).toContain(hint);
  });
});

describe('a full flash image', () => {
  const app = buildImage({ chip: 'ESP32-S3', version: '2.0.0', project: 'inside' });
  const flash = (first: Buffer) => Buffer.concat([first, Buffer.alloc(0x20000 - first.length, 0xff), app]);

  test('is recognized by an application for the same chip if it has no partition table', async () => {
    const { verdict, message } = await inspect(flash(image));
    expect(verdict).toBe('MERGED_FLASH_IMAGE');
    expect(message).toContain('at 0x20000 (inside 2.0.0)');
  });

  test('is recognized although the first image contains something like a partition table', async () => {
    const decoy = withBytes(image, 0x1000, partitionEntry());
    expect((await inspect(decoy)).verdict).toBe('ACCEPT');
    const bytes = flash(decoy);
    partitionEntry().copy(bytes, 0xc000);
    expect((await inspect(bytes)).message).toContain('partition table at 0xc000');
  });

  test('is described by the parts that were found', async () => {
    const bytes = flash(image);
    const { sha256, image: parsed } = await inspect(bytes);
    expect(sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(parsed).toMatchObject({ chip: 'ESP32-S3', imageBytes: image.length });
  });
});

describe('an application', () => {
  test('is parsed with its header, segments and check values', async () => {
    const { image: parsed } = await inspect(image);
    expect(parsed).toMatchObject({
      chip: 'ESP32-S3',
      imageBytes: image.length,
      trailingBytes: 0,
      header: { chipId: 9, wpPin: 0xee, hashAppended: true },
      flashMode: 'DIO',
      flashBytes: 8 * 1024 * 1024,
      minChipRevision: 0,
      maxChipRevision: 0xffff,
      checksum: { offset: image.length - 33, stored: image.at(-33), calculated: image.at(-33) },
      appendedSha256: { offset: image.length - 32, stored: image.toString('hex', image.length - 32) },
      signature: 'none',
    });
    expect(parsed?.segments.map(({ flashMapped }) => flashMapped)).toEqual([true, true]);
  });

  test('has its texts cut at the first NUL, without characters that are not printable', async () => {
    const version = Buffer.from('1.0\u0007\u001b[31m\0hidden'.padEnd(32, '\xff'), 'latin1');
    const project = Buffer.alloc(32, 'x');
    const { image: parsed } = await inspect(withBytes(withBytes(image, 48, version), 80, project));
    expect(parsed?.descriptor).toMatchObject({ version: '1.0??[31m', projectName: 'x'.repeat(32) });
  });

  test.each([
    ['no version', withBytes(image, 48, Buffer.alloc(32)), 'EMPTY_VERSION'],
    ['padding after it', Buffer.concat([image, Buffer.alloc(10)]), 'TRAILING_PADDING'],
    ['no description', buildImage({ chip: 'ESP32', descriptor: false }), 'NO_APP_DESCRIPTOR'],
  ])('with %s is accepted with a warning', async (_, bytes, warning) => {
    const { verdict, warnings } = await inspect(bytes, { allowWithoutDescriptor: true });
    expect([verdict, warnings.map(({ code }) => code)]).toEqual(['ACCEPT', [warning]]);
  });

  test('without a description is always refused if the bootloader needs one', async () => {
    const bytes = buildImage({ chip: 'ESP32-C6', descriptor: false });
    const { verdict, message } = await inspect(bytes, { allowWithoutDescriptor: true });
    expect(verdict).toBe('NO_APP_DESCRIPTOR');
    expect(message).toContain('bootloaders of the ESP32-C6 refuse');
  });

  test('is checked against the MMU page that it states, or else the smallest of its chip', async () => {
    const c6 = buildImage({ chip: 'ESP32-C6' });
    const shifted = Buffer.from(c6);
    shifted.writeUInt32LE(shifted.readUInt32LE(24) + 8 * 1024, 24);
    expect((await inspect(rehashed(shifted))).verdict).toBe('ACCEPT');
    const stated = withBytes(rehashed(shifted), 32 + 180, Buffer.from([16]));
    expect((await inspect(stated)).verdict).toBe('SEGMENT_MISALIGNED');
    const absurd = withBytes(rehashed(shifted), 32 + 180, Buffer.from([255]));
    expect((await inspect(absurd)).verdict).toBe('ACCEPT');
  });

  test('can have a secure boot v1 signature only for the original ESP32', async () => {
    expect(await inspect(buildImage({ chip: 'ESP32', secureBootV1: true }))).toMatchObject({
      verdict: 'ACCEPT',
      image: { signature: 'secure-boot-v1', signatureBlocks: [] },
    });
    expect((await inspect(buildImage({ chip: 'ESP32-C3', secureBootV1: true }))).verdict).toBe('TRAILING_DATA');
  });
});

describe('the stream', () => {
  test('may be split into any chunks, including empty ones', async () => {
    const samples = [
      image,
      buildImage({ signWith: [signer], codeBytes: 90_000 }),
      buildImage({ chip: 'ESP8266', codeBytes: 90_000 }),
      Buffer.concat([image, Buffer.alloc(0x20000 - image.length, 0xff), image]),
    ];
    const options = (bytes: Buffer) => ({ sizeBytes: bytes.length, acceptEsp8266: true });
    for (const bytes of samples) {
      const whole = await inspectImage(pieces(bytes), options(bytes));
      await fc.assert(
        fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 60 }), async (cuts) => {
          expect(await inspectImage(pieces(bytes, cuts), options(bytes))).toEqual(whole);
        }),
        { numRuns: 60 },
      );
    }
  });

  test('with fewer or more bytes than announced gives only that verdict and is not read further', async () => {
    expect(await inspect(image, { sizeBytes: image.length + 1 })).toMatchObject({
      verdict: 'SIZE_MISMATCH',
      sha256: null,
      image: null,
    });
    let left = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        yield image;
        while (true) yield Buffer.alloc(1_000);
      } finally {
        left = true;
      }
    }
    const { verdict, message } = await inspectImage(endless(), { sizeBytes: image.length });
    expect([verdict, left]).toEqual(['SIZE_MISMATCH', true]);
    expect(message).toContain(`${image.length} bytes were announced, more were received`);
  });

  test('that fails causes an error and no verdict', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield image.subarray(0, 100);
      throw new Error('connection reset');
    }
    await expect(inspectImage(broken(), { sizeBytes: image.length })).rejects.toThrow('connection reset');
  });
});

test('a mutated image of any kind gets a verdict', async () => {
  const seeds = [
    image,
    buildImage({ signWith: [signer], codeBytes: 600 }),
    buildImage({ chip: 'ESP8266', codeBytes: 600 }),
    buildImage({ chip: 'ESP8266', codeBytes: 600, esp8266: 'rtos' }),
    buildImage({ chip: 'ESP32', secureBootV1: true, codeBytes: 600 }),
    Buffer.concat([Buffer.alloc(0x1000, 0xff), image]),
    otadata(),
  ];
  const mutation = fc.tuple(fc.nat(40_000), fc.integer({ min: 0, max: 0xffffffff }));
  const cut = fc.option(fc.nat(30_000));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...seeds), fc.array(mutation, { maxLength: 6 }), cut, async (seed, edits, end) => {
      const bytes = Buffer.from(seed.subarray(0, end ?? seed.length));
      for (const [at, word] of edits) if (at + 4 <= bytes.length) bytes.writeUInt32LE(word, at - (at % 4));
      const options = { acceptEsp8266: true, allowWithoutDescriptor: true };
      const { verdict, message } = await inspect(bytes, options);
      expect([verdict.length > 0, message.length > 0]).toEqual([true, true]);
    }),
    { numRuns: 1_500 },
  );
});

test.each([
  ['esp32_s3', 'ESP32-S3'],
  ['van-esp32-c6-v2', 'ESP32-C6'],
  ['esp32-cam', 'ESP32'],
  ['esp32-wroom-32', 'ESP32'],
  ['esp32-esp32-s3', undefined],
  ['esp32-to-esp8266-bridge', undefined],
  ['esp32-s9', undefined],
  ['esp32-h2o-sensor', undefined],
  ['myesp32', undefined],
  ['', undefined],
])('a model named "%s" states the chip %s', (model, chip) => {
  expect(chipOfModelName(model)).toBe(chip);
});
