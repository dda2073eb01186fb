import { createHash, type Hash } from 'node:crypto';
import type { ByteReader } from './byte-reader.ts';
import { DESCRIPTOR_BYTES } from './descriptor.ts';
import { hex, Refusal } from './verdicts.ts';

export interface Segment {
  readonly loadAddress: number;
  readonly dataBytes: number;
  /** Where its data begins in the file. */
  readonly fileOffset: number;
}

export interface ImageBody {
  readonly segments: readonly Segment[];
  /** The first bytes of segment 0, where a description would be. */
  readonly firstBytes: Buffer;
  /** Where the checksum byte ends. */
  readonly checksumEnd: number;
}

const SEGMENT_HEADER_BYTES = 8;
const MAX_SEGMENT_BYTES = 16 * 1024 * 1024;
const CHECKSUM_SEED = 0xef;

/**
 * Reads the segments and their checksum byte: XOR of 0xEF and every byte of segment data (esp_image_format.c,
 * process_segment_data and process_checksum).
 * @throws Refusal
 */
export async function readBody(reader: ByteReader, segmentCount: number, sizeBytes: number): Promise<ImageBody> {
  const segments: Segment[] = [];
  let firstBytes = Buffer.alloc(0);
  let checksum = CHECKSUM_SEED;
  for (let index = 0; index < segmentCount; index++) {
    const segment = await readSegmentHeader(reader, index, sizeBytes);
    if (index === 0) firstBytes = Buffer.from((await reader.peek(DESCRIPTOR_BYTES)).subarray(0, segment.dataBytes));
    const read = await reader.each(segment.dataBytes, (chunk) => {
      checksum ^= xorOf(chunk);
    });
    if (read < segment.dataBytes) throw truncated(index, segment, read);
    segments.push(segment);
  }
  const checksumEnd = (Math.floor(reader.offset / 16) + 1) * 16;
  const padding = await reader.take(checksumEnd - reader.offset);
  const stored = padding.at(-1);
  if (reader.offset < checksumEnd || stored === undefined) {
    throw new Refusal(
      'TRUNCATED_CHECKSUM',
      `the file ends at ${hex(reader.offset)}, before its checksum byte: the upload was cut short`,
    );
  }
  if (stored !== checksum) {
    throw new Refusal(
      'CHECKSUM_MISMATCH',
      `the checksum is ${hex(stored)}, calculated ${hex(checksum)}: the file is damaged`,
    );
  }
  return { segments, firstBytes, checksumEnd };
}

async function readSegmentHeader(reader: ByteReader, index: number, sizeBytes: number): Promise<Segment> {
  const header = await reader.take(SEGMENT_HEADER_BYTES);
  if (header.length < SEGMENT_HEADER_BYTES) {
    throw new Refusal('TRUNCATED_SEGMENT', `the file ends in the header of segment ${index}: the upload was cut short`);
  }
  const segment = { loadAddress: header.readUInt32LE(0), dataBytes: header.readUInt32LE(4), fileOffset: reader.offset };
  if (segment.dataBytes >= MAX_SEGMENT_BYTES) {
    throw new Refusal(
      'SEGMENT_TOO_LARGE',
      `segment ${index} declares ${segment.dataBytes} bytes, less than 16 MiB are allowed`,
    );
  }
  // Never add first: the sum of two 32-bit numbers is what hostile headers are made for.
  const left = sizeBytes - reader.offset;
  if (segment.dataBytes > left) throw truncated(index, segment, left);
  if (segment.dataBytes % 4 !== 0) {
    throw new Refusal(
      'SEGMENT_UNALIGNED',
      `segment ${index} is ${segment.dataBytes} bytes long, which is no multiple of 4`,
    );
  }
  return segment;
}

const truncated = (index: number, { loadAddress, dataBytes }: Segment, left: number) =>
  new Refusal(
    'TRUNCATED_SEGMENT',
    `segment ${index} at ${hex(loadAddress)} declares ${dataBytes} bytes, only ${left} remain: the upload was cut short`,
  );

/** Reads the appended SHA-256 and compares it with that of the bytes before. @throws Refusal */
export async function checkAppendedHash(reader: ByteReader, hash: Hash): Promise<string> {
  const calculated = hash.copy().digest('hex');
  const stored = await reader.take(32);
  if (stored.length < 32) {
    throw new Refusal(
      'TRUNCATED_HASH',
      `only ${stored.length} of the 32 bytes of the appended SHA-256 are there: the upload was cut short`,
    );
  }
  if (stored.toString('hex') !== calculated) {
    throw new Refusal(
      'HASH_MISMATCH',
      `the appended SHA-256 is ${stored.toString('hex')}, calculated ${calculated}: the file is damaged`,
    );
  }
  return calculated;
}

/** SHA-256 of everything that is read from here on. */
export function hashFromHere(reader: ByteReader): Hash {
  const hash = createHash('sha256');
  reader.observe((chunk) => hash.update(chunk));
  return hash;
}

/** XOR of all bytes, four at a time. */
function xorOf(chunk: Buffer): number {
  const words = chunk.length >> 2;
  let folded = 0;
  for (let i = 0; i < words; i++) folded ^= chunk.readInt32LE(i * 4);
  folded ^= folded >>> 16;
  folded ^= folded >>> 8;
  for (let i = words * 4; i < chunk.length; i++) folded ^= chunk[i] as number;
  return folded & 0xff;
}
