import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { inspectImage } from '../../../core/image/inspect-image.ts';
import { buildImage } from '../../../fleet/build-image.ts';

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}
const inspect = (bytes: Buffer) => inspectImage(once(bytes), { sizeBytes: bytes.length, acceptEsp8266: true });
const verdictOf = async (bytes: Buffer) => (await inspect(bytes)).verdict;

function changed(bytes: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  change(copy);
  return copy;
}
const flip =
  (...offsets: number[]) =>
  (copy: Buffer) => {
    for (const at of offsets) copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  };

const arduino = buildImage({ chip: 'ESP8266', codeBytes: 8_008 });
const rtos = buildImage({ chip: 'ESP8266', codeBytes: 8_000, esp8266: 'rtos' });

/** An image as made by Arduino cores before 2.5, with code in place of the length and the CRC. */
const oldArduino = changed(arduino, (copy) => {
  const last = copy.length - 1;
  copy.fill(0, 0x1010, 0x1018);
  copy.writeUInt8(0x55, 0x1010);
  copy.writeUInt8(copy.readUInt8(last) ^ 0x55, last);
});

describe('an Arduino file for the ESP8266', () => {
  test('is parsed as its second image, protected by length and CRC', async () => {
    const { verdict, image, warnings } = await inspect(arduino);
    expect({ verdict, warnings }).toEqual({ verdict: 'ACCEPT', warnings: [] });
    expect(image).toMatchObject({
      chip: 'ESP8266',
      imageBytes: arduino.length,
      flashMode: 'DIO',
      flashBytes: 4 * 1024 * 1024,
      segments: [{ loadAddress: 0x40201010, fileOffset: 0x1010, flashMapped: true }],
      arduinoCrc: { offset: 0x1014, stored: arduino.readUInt32LE(0x1014) },
    });
  });

  test('of an older core, without length and CRC, is accepted with a warning', async () => {
    const { verdict, warnings } = await inspect(oldArduino);
    expect([verdict, warnings.map(({ code }) => code)]).toEqual(['ACCEPT', ['NO_APPENDED_HASH']]);
  });

  test('may have segments of any length', async () => {
    // The last three bytes of the segment become padding before the checksum, which stays in its place.
    const shorter = changed(oldArduino, (copy) => {
      const length = copy.readUInt32LE(0x100c) - 3;
      const end = 0x1010 + length;
      const lost = copy.subarray(end, end + 3).reduce((sum, byte) => sum ^ byte, 0);
      copy.writeUInt32LE(length, 0x100c);
      copy.writeUInt8((copy.at(-1) ?? 0) ^ lost, copy.length - 1);
    });
    expect(await verdictOf(shorter)).toBe('ACCEPT');
  });

  test.each([
    ['damage in the bootloader', changed(arduino, flip(100)), 'CHECKSUM_MISMATCH', 'checksum at 0x50f'],
    ['damage in the application', changed(arduino, flip(0x1100)), 'CHECKSUM_MISMATCH', 'checksum at'],
    [
      'damage that the checksum does not detect',
      changed(arduino, flip(0x1100, 0x1200)),
      'CHECKSUM_MISMATCH',
      'with CRC',
    ],
    ['damage in the length', changed(arduino, flip(0x1010)), 'CHECKSUM_MISMATCH', 'the file states'],
    ['damage in the CRC', changed(arduino, flip(0x1015)), 'CHECKSUM_MISMATCH', 'with CRC'],
    ['an end in the application', arduino.subarray(0, 0x1500), 'TRUNCATED_SEGMENT', 'cut short'],
    ['an end in the second header', arduino.subarray(0, 0x1004), 'TRUNCATED_HEADER', '4 of the 8 bytes'],
    ['an end before the checksum', arduino.subarray(0, -1), 'TRUNCATED_CHECKSUM', 'cut short'],
    ['only the bootloader', arduino.subarray(0, 0x1000), 'NO_FLASH_SEGMENTS', 'bootloader'],
    ['bytes after it', Buffer.concat([arduino, Buffer.from('more')]), 'TRAILING_DATA', '4 unexplained bytes'],
  ])('with %s is refused', async (_, bytes, verdict, hint) => {
    const refused = await inspect(bytes);
    expect(refused.verdict).toBe(verdict);
    expect(refused.message).toContain(hint);
  });

  test('may be followed by padding', async () => {
    expect(await verdictOf(Buffer.concat([arduino, Buffer.alloc(900, 0xff)]))).toBe('ACCEPT');
  });
});

describe('a file of the ESP8266 RTOS SDK', () => {
  test('is accepted with the SHA-256 that no flag announces', async () => {
    const { verdict, image, warnings } = await inspect(rtos);
    expect({ verdict, warnings }).toEqual({ verdict: 'ACCEPT', warnings: [] });
    expect(image?.appendedSha256?.stored).toBe(createHash('sha256').update(rtos.subarray(0, -32)).digest('hex'));
  });

  test('without the SHA-256 is accepted with a warning', async () => {
    const { verdict, warnings } = await inspect(rtos.subarray(0, -32));
    expect([verdict, warnings.map(({ code }) => code)]).toEqual(['ACCEPT', ['NO_APPENDED_HASH']]);
  });

  test.each([
    ['a damaged header that only the hash detects', changed(rtos, flip(4)), 'HASH_MISMATCH'],
    ['a damaged hash', changed(rtos, flip(rtos.length - 1)), 'HASH_MISMATCH'],
    ['damaged code', changed(rtos, flip(500)), 'CHECKSUM_MISMATCH'],
    ['17 segments', changed(rtos, (copy) => copy.writeUInt8(17, 1)), 'BAD_SEGMENT_COUNT'],
    ['a part of its hash', rtos.subarray(0, -5), 'TRUNCATED_HASH'],
    ['bytes after the hash', Buffer.concat([rtos, Buffer.from('more')]), 'TRAILING_DATA'],
  ])('with %s is refused', async (_, bytes, verdict) => {
    expect(await verdictOf(bytes)).toBe(verdict);
  });

  test('is recognized inside a full flash image', async () => {
    const bootloader = arduino.subarray(0, 0x510);
    const flash = Buffer.alloc(0x10000, 0xff);
    bootloader.copy(flash);
    const { verdict, message } = await inspect(Buffer.concat([flash, rtos]));
    expect(verdict).toBe('MERGED_FLASH_IMAGE');
    expect(message).toContain('application in it is at 0x10000');
  });
});

test('a truncated ESP8266 file is never accepted, except where a bare image ends', async () => {
  for (const file of [arduino, rtos]) {
    for (let length = 0; length < file.length; length += 7) {
      if (file === rtos && length === rtos.length - 32) continue;
      expect(await verdictOf(file.subarray(0, length)), `${length} bytes`).not.toBe('ACCEPT');
    }
  }
});
