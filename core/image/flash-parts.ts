import type { ByteReader } from './byte-reader.ts';
import { chipById, ESP8266, isEsp8266LoadAddress } from './chips.ts';
import { DESCRIPTOR_BYTES, DESCRIPTOR_OFFSET, readDescriptor } from './descriptor.ts';
import { hex, ImageRejection, UPLOAD_APP_BINARY } from './verdicts.ts';

/** A partition table may lie at any sector below this; its offset is a build option (0x8000 by default). */
const TABLE_SEARCH_END = 0x20000;
const SECTOR = 0x1000;
const APP_ALIGNMENT = 0x10000;
const ENTRY_BYTES = 32;
/** Enough bytes for an image header with its description. */
const SAMPLE_BYTES = DESCRIPTOR_OFFSET + DESCRIPTOR_BYTES;

export interface AppInside {
  readonly offset: number;
  readonly chip: string;
  readonly project: string;
  readonly version: string;
}

/** Parts that only an image of a whole flash contains, after its first image. */
export interface FlashParts {
  readonly partitionTableAt: number | undefined;
  readonly app: AppInside | undefined;
}

/**
 * Looks for a partition table and for applications while the file is being read: at most 32 + 256 places of a 16 MiB
 * file, and only the first bytes of each.
 * @returns a function for the end of the file, which gives the parts from an offset on
 */
export function watchForFlashParts(reader: ByteReader): (from: number) => FlashParts {
  const tables: number[] = [];
  const apps: AppInside[] = [];
  let sample = Buffer.alloc(0);
  let sampleAt = -1;
  const examine = () => {
    if (sampleAt < TABLE_SEARCH_END && isPartitionEntry(sample)) tables.push(sampleAt);
    const app = sampleAt % APP_ALIGNMENT === 0 ? readApp(sampleAt, sample) : undefined;
    if (app !== undefined) apps.push(app);
  };
  reader.observe((chunk, offset) => {
    for (const { at, bytes } of placesIn(chunk, offset)) {
      sample = at === sampleAt ? Buffer.concat([sample, bytes]) : Buffer.from(bytes);
      sampleAt = at;
      if (sample.length === SAMPLE_BYTES) examine();
    }
  });
  return (from) => {
    // The end of the file may have cut the last place short.
    if (sample.length < SAMPLE_BYTES) examine();
    return {
      partitionTableAt: tables.find((at) => at >= from),
      app: apps.find(({ offset }) => offset >= from),
    };
  };
}

/** The parts of a chunk that lie at a place to examine, in order. */
function* placesIn(chunk: Buffer, offset: number): Generator<{ at: number; bytes: Buffer }> {
  const end = offset + chunk.length;
  let at = Math.floor(offset / SECTOR) * SECTOR;
  while (at < end) {
    const from = Math.max(at, offset);
    const to = Math.min(at + SAMPLE_BYTES, end);
    if (from < to) yield { at, bytes: chunk.subarray(from - offset, to - offset) };
    const step = at + SECTOR < TABLE_SEARCH_END ? SECTOR : APP_ALIGNMENT;
    at = (Math.floor(at / step) + 1) * step;
  }
}

/**
 * True for an entry of a partition table (gen_esp32part.py): magic AA 50, a known type, an offset in whole sectors, a
 * size.
 */
export function isPartitionEntry(bytes: Buffer): boolean {
  if (bytes.length < ENTRY_BYTES || bytes[0] !== 0xaa || bytes[1] !== 0x50) return false;
  const type = bytes.readUInt8(2);
  const knownType = type <= 3 || (type >= 0x40 && type <= 0xfe);
  return knownType && bytes.readUInt32LE(4) % SECTOR === 0 && bytes.readUInt32LE(8) > 0;
}

function readApp(offset: number, bytes: Buffer): AppInside | undefined {
  const chip = bytes.length < DESCRIPTOR_OFFSET ? undefined : chipOfImage(bytes);
  if (chip === undefined) return undefined;
  const descriptor = readDescriptor(bytes.subarray(DESCRIPTOR_OFFSET));
  return { offset, chip, project: descriptor?.projectName ?? '', version: descriptor?.version ?? '' };
}

/** The chip named in the header of an image; undefined if the bytes are not a header. */
function chipOfImage(bytes: Buffer): string | undefined {
  const segmentCount = bytes.readUInt8(1);
  if (bytes[0] !== 0xe9 || segmentCount < 1 || segmentCount > 16) return undefined;
  if (isEsp8266LoadAddress(bytes.readUInt32LE(8))) return ESP8266;
  const plausible = bytes.readUInt8(23) <= 1 && bytes.readUInt32LE(28) % 4 === 0;
  return plausible ? chipById(bytes.readUInt16LE(12))?.name : undefined;
}

/** @throws ImageRejection if an image for the chip is followed by the rest of a flash */
export function refuseFlashImage(imageEnd: number, { partitionTableAt, app }: FlashParts, chip: string): void {
  if (partitionTableAt === undefined && app?.chip !== chip) return;
  throw mergedImage(`image at 0 ends ${hex(imageEnd)}`, { partitionTableAt, app });
}

/** The refusal names the application inside, because the uploader has the right firmware in the wrong kind of file. */
export function mergedImage(start: string, { partitionTableAt, app }: FlashParts): ImageRejection {
  const table = partitionTableAt === undefined ? '' : `, partition table at ${hex(partitionTableAt)}`;
  const label = app === undefined ? '' : [app.project, app.version].filter(Boolean).join(' ');
  const inside =
    app === undefined ? '' : `; the application in it is at ${hex(app.offset)}${label === '' ? '' : ` (${label})`}`;
  return new ImageRejection(
    'MERGED_FLASH_IMAGE',
    `this is a full flash image for serial flashing, not OTA (${start}${table})${inside}; ${UPLOAD_APP_BINARY}`,
  );
}
