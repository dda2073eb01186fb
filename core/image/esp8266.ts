import type { Hash } from 'node:crypto';
import type { ByteReader } from './byte-reader.ts';
import { ESP8266, ESP8266_CHIP, isEsp8266LoadAddress } from './chips.ts';
import { CRC32_MPEG2_START, crc32Mpeg2 } from './crc32-mpeg2.ts';
import { refuseFlashImage, watchForFlashParts } from './flash-parts.ts';
import { type ImageBody, readAppendedHash, readBody, refuseChecksum, truncatedHash, xorOf } from './image-body.ts';
import { type CheckValue, type Reading, readCommonHeader, type Warning } from './parsed-image.ts';
import { readTrailing, refuseTrailing, trailingWarnings } from './trailing.ts';
import { hex, ImageRejection, UPLOAD_APP_BINARY } from './verdicts.ts';

const HEADER_BYTES = 8;
const SHA256_BYTES = 32;
const KB = 1024;
/** Arduino files start with the bootloader, padded with AA; the application is at this offset. */
const ARDUINO_APP_AT = 0x1000;
/** The first eight bytes of its first segment: length and CRC of the file, calculated with both as zero. */
const STAMP_AT = ARDUINO_APP_AT + HEADER_BYTES + 8;
const STAMP_BYTES = 8;

/** The size field of the header does not encode a power of two on this chip (esptool, targets/esp8266.py). */
const FLASH_KB = [512, 256, 1024, 2048, 4096, 2048, 4096, undefined, 8192, 16384];

export function refuseEsp8266(loadAddress: number): ImageRejection {
  return new ImageRejection(
    'ESP8266_V1',
    `this is an ESP8266 image (first segment load ${hex(loadAddress)} at offset 8), and the model is not known to have an ESP8266; upload the image that was built for the model's chip, or set the model's chip to ESP8266`,
  );
}

/**
 * Reads an ESP8266 image to the end of the file: an 8-byte header, segments, a checksum. The RTOS SDK appends a SHA-256
 * that no flag announces; Arduino puts a bootloader before the application (tools/elf2bin.py of its core).
 * @param sha256 of the file so far
 * @throws ImageRejection if the image is incomplete or damaged
 */
export async function readEsp8266(reader: ByteReader, sha256: Hash, sizeBytes: number): Promise<Reading> {
  const partsFrom = watchForFlashParts(reader);
  const arduinoCrc = watchArduinoCrc(reader);
  const first = await readPart(reader, sizeBytes);
  const app = await readArduinoApp(reader, first, sizeBytes);
  const { body, common } = app ?? first;
  const stamp = app === undefined ? undefined : readStamp(body);
  const checksum = stamp?.checksum ?? body.checksum;
  refuseChecksum(app === undefined ? checksum : first.body.checksum);
  refuseChecksum(checksum);
  const crc = stamp === undefined ? null : { offset: STAMP_AT + 4, stored: stamp.crc, calculated: arduinoCrc() };
  const appendedSha256 = app === undefined ? await readUnannouncedHash(reader, sha256) : null;
  const trailing = await readTrailing(reader);
  const { segmentCount: _, ...shared } = common;
  const flashKb = FLASH_KB[common.spiSize];
  return {
    image: {
      ...shared,
      chip: ESP8266,
      imageBytes: trailing.offset,
      trailingBytes: trailing.bytes,
      header: null,
      segments: body.segments,
      flashBytes: flashKb === undefined ? null : flashKb * KB,
      minChipRevision: null,
      maxChipRevision: null,
      checksum,
      appendedSha256,
      arduinoCrc: crc,
      descriptor: null,
      bootloader: null,
      signature: 'none',
      signatureBlocks: [],
    },
    validate: () => {
      refuseFlashImage(trailing.offset, partsFrom(trailing.offset), ESP8266);
      refuseWithoutFlash(body);
      refuseTrailing(trailing);
      if (stamp !== undefined && crc !== null) refuseStamp(stamp.length, trailing.offset, crc);
    },
    warnings: [...(appendedSha256 === null && crc === null ? [UNPROTECTED] : []), ...trailingWarnings(trailing)],
  };
}

const UNPROTECTED: Warning = { code: 'NO_APPENDED_HASH', message: 'only a one-byte checksum protects the image' };

async function readPart(reader: ByteReader, sizeBytes: number) {
  const header = await reader.take(HEADER_BYTES);
  if (header.length < HEADER_BYTES) {
    throw new ImageRejection(
      'TRUNCATED_HEADER',
      `only ${header.length} of the ${HEADER_BYTES} bytes of the header at ${hex(reader.offset - header.length)} are there: the upload was cut short; upload it again`,
    );
  }
  const common = readCommonHeader(header);
  const rules = { chip: ESP8266_CHIP, sizeBytes, wholeWords: false };
  return { common, body: await readBody(reader, common.segmentCount, rules) };
}

const hasFlash = ({ segments }: ImageBody) => segments.some(({ flashMapped }) => flashMapped);

async function readArduinoApp(reader: ByteReader, { body }: { readonly body: ImageBody }, sizeBytes: number) {
  const gap = ARDUINO_APP_AT - reader.offset;
  if (hasFlash(body) || gap < 0) return undefined;
  const next = (await reader.peek(gap + HEADER_BYTES + 4)).subarray(gap);
  const loadAddress = next.length >= HEADER_BYTES + 4 ? next.readUInt32LE(HEADER_BYTES) : undefined;
  if (next[0] !== 0xe9 || (loadAddress !== undefined && !isEsp8266LoadAddress(loadAddress))) return undefined;
  await reader.each(gap, () => {});
  return readPart(reader, sizeBytes);
}

/**
 * Newer cores write the stamp over zeros after they have calculated the checksum. Older cores have code there.
 * @returns undefined for an image of an older core
 */
function readStamp({ firstBytes, checksum }: ImageBody) {
  if (firstBytes.length < STAMP_BYTES) return undefined;
  const { offset, stored } = checksum;
  const calculated = checksum.calculated ^ xorOf(firstBytes.subarray(0, STAMP_BYTES));
  const length = firstBytes.readUInt32LE(0);
  const stamped = length === offset + 1 || (stored === calculated && stored !== checksum.calculated);
  return stamped ? { checksum: { offset, stored, calculated }, length, crc: firstBytes.readUInt32LE(4) } : undefined;
}

/** CRC of the file so far, with zeros in place of the stamp. */
function watchArduinoCrc(reader: ByteReader): () => number {
  let crc = CRC32_MPEG2_START;
  const zeros = Buffer.alloc(STAMP_BYTES);
  reader.observe((chunk, offset) => {
    const start = Math.min(Math.max(STAMP_AT - offset, 0), chunk.length);
    const end = Math.min(Math.max(STAMP_AT + STAMP_BYTES - offset, 0), chunk.length);
    crc = crc32Mpeg2(chunk.subarray(0, start), crc);
    crc = crc32Mpeg2(zeros.subarray(0, end - start), crc);
    crc = crc32Mpeg2(chunk.subarray(end), crc);
  });
  return () => crc;
}

/** The SHA-256 appended by the RTOS SDK is recognized only if it matches, or if exactly 32 bytes are left. */
async function readUnannouncedHash(reader: ByteReader, sha256: Hash): Promise<CheckValue<string> | null> {
  const next = await reader.peek(SHA256_BYTES + 1);
  const calculated = sha256.copy().digest();
  if (next.subarray(0, SHA256_BYTES).equals(calculated)) return readAppendedHash(reader, sha256);
  const blank = next.every((byte) => byte === 0xff) || next.every((byte) => byte === 0);
  if (next.length === 0 || blank) return null;
  if (next.length === SHA256_BYTES) return readAppendedHash(reader, sha256);
  if (calculated.subarray(0, next.length).equals(next)) throw truncatedHash(next.length, reader.offset);
  return null;
}

function refuseWithoutFlash(body: ImageBody): void {
  if (hasFlash(body)) return;
  throw new ImageRejection(
    'NO_FLASH_SEGMENTS',
    `no segment lies in mapped flash: this is an ESP8266 bootloader or RAM-only build; ${UPLOAD_APP_BINARY}`,
  );
}

function refuseStamp(length: number, imageBytes: number, { stored, calculated }: CheckValue<number>): void {
  if (length === imageBytes && stored === calculated) return;
  throw new ImageRejection(
    'CHECKSUM_MISMATCH',
    `the file states ${length} bytes with CRC ${hex(stored)} at ${hex(STAMP_AT)}, calculated ${imageBytes} with ${hex(calculated)}: the file is damaged; upload it again`,
  );
}
