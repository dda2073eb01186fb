import { describe, expect, test } from 'vitest';
import { readImageHeader } from '../../../../console/src/releases/read-image-header.ts';
import { buildImage } from '../../../../fleet/build-image.ts';

const kindOf = (bytes: Buffer) => readImageHeader(new Blob([new Uint8Array(bytes)]));

/** A flash image with a part at an offset. */
function at(offset: number, part: Buffer, start: Buffer): Buffer {
  const whole = Buffer.alloc(offset + part.length, 0xff);
  start.copy(whole);
  part.copy(whole, offset);
  return whole;
}

const image = buildImage({ version: '1.2.0', project: 'van' });
/** An image header, and the first data of the first segment. */
const withFirstData = (...data: number[]) =>
  Buffer.from([0xe9, 3, 2, 0x2f, ...Array(28).fill(0), ...data, ...Array(300).fill(7)]);
const PARTITION = Buffer.from([0xaa, 0x50, 1, 2, 0, 0x90, 0, 0]);

describe('a file before its upload', () => {
  test('is an application with its embedded name and version', async () => {
    expect(await kindOf(image)).toEqual({ kind: 'application', project: 'van', version: '1.2.0' });
  });

  test.each([
    ["the build's ELF file", Buffer.from('7f454c46010101000000', 'hex')],
    ['a UF2 file, for drag-and-drop', Buffer.from('5546320a57515d9e', 'hex')],
    ['compressed with gzip', Buffer.from('1f8b0800', 'hex')],
    ['a zip archive', Buffer.from('504b030414', 'hex')],
    ['a partition table', PARTITION],
    ['a text file', Buffer.from('<html>Nicht gefunden: ü</html>\n')],
    ['an empty file', Buffer.alloc(0)],
    ['a boot loader', withFirstData(0x50, 0, 0, 0)],
    [
      'a merged image of the whole flash, for serial flashing and not for an update',
      at(0x8000, PARTITION, image.subarray(0, 0x4000)),
    ],
    [
      'a merged image of the whole flash, for serial flashing and not for an update',
      at(0x1000, image, Buffer.alloc(0)),
    ],
    ['of another kind: its first byte is 0x0, that of an image 0xe9', Buffer.alloc(4096)],
  ])('is recognized as %s', async (what, bytes) => {
    expect(await kindOf(bytes)).toEqual({ kind: 'foreign', what });
  });

  test('is an image without a description, as one for an ESP8266', async () => {
    expect(await kindOf(withFirstData(0x10, 0x20, 0x30, 0x40))).toEqual({ kind: 'undescribed' });
    expect(await kindOf(image.subarray(0, 40))).toEqual({ kind: 'undescribed' });
  });
});
