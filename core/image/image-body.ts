import type { Hash } from 'node:crypto';
import type { ByteReader } from './byte-reader.ts';
import { type Chip, isFlashMapped } from './chips.ts';
import { DESCRIPTOR_BYTES } from './descriptor.ts';
import type { CheckValue, Segment } from './parsed-image.ts';
import { hex, ImageRejection } from './verdicts.ts';

export interface ImageBody {
  readonly segments: readonly Segment[];
  /** The first bytes of segment 0, where a description would be. */
  readonly firstBytes: Buffer;
  readonly checksum: CheckValue<number>;
}

const SEGMENT_HEADER_BYTES = 8;
const MAX_SEGMENTS = 16;
const MAX_SEGMENT_BYTES = 16 * 1024 * 1024;
const CHECKSUM_SEED = 0xef;
const SHA256_BYTES = 32;

/** Requirements for the segments of a chip. */
export interface BodyRules {
  readonly chip: Chip;
  readonly sizeBytes: number;
  /** Lengths must be multiples of 4 (verify_segment_header); those of Arduino's images for the ESP8266 are not. */
  readonly wholeWords: boolean;
}

/**
 * Reads the segments and their checksum byte: XOR of 0xEF and every byte of segment data (esp_image_format.c,
 * process_segment_data and process_checksum). {@link refuseChecksum} checks the checksum.
 * @throws ImageRejection
 */
export async function readBody(reader: ByteReader, segmentCount: number, rules: BodyRules): Promise<ImageBody> {
  refuseSegmentCount(segmentCount);
  const segments: Segment[] = [];
  let firstBytes: Buffer = Buffer.alloc(0);
  let calculated = CHECKSUM_SEED;
  for (let index = 0; index < segmentCount; index++) {
    const segment = await readSegmentHeader(reader, index, rules);
    if (index === 0) firstBytes = await reader.peek(Math.min(DESCRIPTOR_BYTES, segment.dataBytes));
    const read = await reader.each(segment.dataBytes, (chunk) => {
      calculated ^= xorOf(chunk);
    });
    if (read < segment.dataBytes) throw truncated(index, segment, read);
    segments.push(segment);
  }
  return { segments, firstBytes, checksum: { ...(await readChecksum(reader)), calculated } };
}

function refuseSegmentCount(count: number): void {
  if (count >= 1 && count <= MAX_SEGMENTS) return;
  throw new ImageRejection(
    'BAD_SEGMENT_COUNT',
    `the header declares ${count} segments, 1 to ${MAX_SEGMENTS} are possible: the file is damaged; build and upload it again`,
  );
}

async function readSegmentHeader(reader: ByteReader, index: number, rules: BodyRules): Promise<Segment> {
  const headerOffset = reader.offset;
  const header = await reader.take(SEGMENT_HEADER_BYTES);
  if (header.length < SEGMENT_HEADER_BYTES) {
    throw new ImageRejection(
      'TRUNCATED_SEGMENT',
      `the file ends in the header of segment ${index} at ${hex(headerOffset)}: the upload was cut short; upload it again`,
    );
  }
  const loadAddress = header.readUInt32LE(0);
  const flashMapped = isFlashMapped(rules.chip, loadAddress);
  const segment = { loadAddress, dataBytes: header.readUInt32LE(4), fileOffset: reader.offset, flashMapped };
  refuseLength(index, segment, rules);
  return segment;
}

function refuseLength(index: number, segment: Segment, { sizeBytes, wholeWords }: BodyRules): void {
  const { dataBytes, fileOffset } = segment;
  if (dataBytes >= MAX_SEGMENT_BYTES) {
    throw new ImageRejection(
      'SEGMENT_TOO_LARGE',
      `segment ${index} declares ${dataBytes} bytes, less than 16 MiB are possible: the file is damaged; build and upload it again`,
    );
  }
  // Subtracts instead of adding: the sum of two 32-bit numbers from a hostile header could be misleading.
  const left = sizeBytes - fileOffset;
  if (dataBytes > left) throw truncated(index, segment, left);
  if (wholeWords && dataBytes % 4 !== 0) {
    throw new ImageRejection(
      'SEGMENT_UNALIGNED',
      `segment ${index} is ${dataBytes} bytes long, which is not a multiple of 4: the file is damaged; build and upload it again`,
    );
  }
}

const truncated = (index: number, { fileOffset, dataBytes }: Segment, left: number) =>
  new ImageRejection(
    'TRUNCATED_SEGMENT',
    `segment ${index} at ${hex(fileOffset)} declares ${dataBytes} bytes, only ${left} remain: the upload was cut short; upload it again`,
  );

/** The checksum is the last byte of a block of sixteen, after zeros. */
async function readChecksum(reader: ByteReader): Promise<{ offset: number; stored: number }> {
  const offset = reader.offset | 15;
  const padding = await reader.take(offset + 1 - reader.offset);
  const stored = padding.at(-1);
  if (reader.offset <= offset || stored === undefined) {
    throw new ImageRejection(
      'TRUNCATED_CHECKSUM',
      `the file ends at ${hex(reader.offset)}, its checksum byte belongs at ${hex(offset)}: the upload was cut short; upload it again`,
    );
  }
  return { offset, stored };
}

/** @throws ImageRejection if the checksum is wrong */
export function refuseChecksum({ offset, stored, calculated }: CheckValue<number>): void {
  if (stored === calculated) return;
  throw new ImageRejection(
    'CHECKSUM_MISMATCH',
    `the checksum at ${hex(offset)} is ${hex(stored)}, calculated ${hex(calculated)}: the file is damaged; upload it again`,
  );
}

/**
 * Reads the SHA-256 that follows the checksum and compares it with that of the preceding bytes.
 * @throws ImageRejection
 */
export async function readAppendedHash(reader: ByteReader, hash: Hash): Promise<CheckValue<string>> {
  const calculated = hash.copy().digest('hex');
  const offset = reader.offset;
  const bytes = await reader.take(SHA256_BYTES);
  if (bytes.length < SHA256_BYTES) throw truncatedHash(bytes.length, offset);
  const stored = bytes.toString('hex');
  if (stored !== calculated) {
    throw new ImageRejection(
      'HASH_MISMATCH',
      `the SHA-256 at ${hex(offset)} is ${stored}, calculated ${calculated}: the file is damaged; upload it again`,
    );
  }
  return { offset, stored, calculated };
}

export const truncatedHash = (bytes: number, offset: number): ImageRejection =>
  new ImageRejection(
    'TRUNCATED_HASH',
    `only ${bytes} of the ${SHA256_BYTES} bytes of the appended SHA-256 at ${hex(offset)} are there: the upload was cut short; upload it again`,
  );

/** XOR of all bytes, most of them four at a time. */
export function xorOf(chunk: Buffer): number {
  const toBoundary = (4 - (chunk.byteOffset % 4)) % 4;
  if (chunk.length < toBoundary + 4) return xorOfBytes(chunk);
  const words = (chunk.length - toBoundary) >> 2;
  let folded = 0;
  for (const word of new Int32Array(chunk.buffer, chunk.byteOffset + toBoundary, words)) folded ^= word;
  folded ^= folded >>> 16;
  folded ^= folded >>> 8;
  const edges = xorOfBytes(chunk.subarray(0, toBoundary)) ^ xorOfBytes(chunk.subarray(toBoundary + words * 4));
  return (folded ^ edges) & 0xff;
}

const xorOfBytes = (bytes: Buffer): number => bytes.reduce((sum, byte) => sum ^ byte, 0);
