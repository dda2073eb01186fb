import { createHash } from 'node:crypto';
import { ByteReader } from './byte-reader.ts';
import { type Chip, chipById, ESP8266 } from './chips.ts';
import { type AppDescriptor, readBootloaderIdf, readDescriptor } from './descriptor.ts';
import { isEsp8266LoadAddress, readEsp8266, refuseEsp8266 } from './esp8266.ts';
import { entropy, HEAD_BYTES, refuseForeignFile } from './foreign-files.ts';
import { checkAppendedHash, hashFromHere, type ImageBody, readBody, type Segment } from './image-body.ts';
import { type PartsOfFlash, readTrailing, type Trailing, watchForFlashParts } from './trailing.ts';
import { hex, Refusal, type Verdict } from './verdicts.ts';

export interface InspectOptions {
  readonly sizeBytes: number;
  /** @default 16 MiB, the format's own limit on most chips */
  readonly maxSizeBytes?: number;
  /** Accept images without an application description (Arduino core 1.x, ESP-IDF before 3.3, bare metal). */
  readonly allowWithoutDescriptor?: boolean;
  /** Accept application images for the ESP8266. */
  readonly acceptEsp8266?: boolean;
}

export interface Warning {
  readonly code: string;
  readonly message: string;
}

/** What the image's own bytes say. */
export interface ParsedImage {
  readonly chip: string;
  readonly imageBytes: number;
  readonly segments: readonly Segment[];
  readonly entryAddress: number | null;
  readonly spiMode: number | null;
  readonly spiSpeed: number | null;
  readonly spiSize: number | null;
  /** Revisions as major × 100 + minor; 0 (or 65535 for the maximum) is no limit. */
  readonly minChipRevision: number | null;
  readonly maxChipRevision: number | null;
  /** The appended SHA-256, which was verified; null where there is none. */
  readonly appendedSha256: string | null;
  readonly descriptor: AppDescriptor | null;
  readonly signature: 'none' | 'secure-boot-v1' | 'secure-boot-v2';
  readonly keyDigests: readonly string[];
}

export interface Inspection {
  readonly verdict: Verdict;
  /** For the person who uploaded it: what it is, and what to upload instead. */
  readonly message: string;
  /** SHA-256 of the whole file; null where it was not read to its end. */
  readonly sha256: string | null;
  readonly image: ParsedImage | null;
  readonly warnings: readonly Warning[];
}

export const FORMAT_MAX_BYTES = 16 * 1024 * 1024;

/**
 * Reads a file as an Espressif application image and verifies it, in a fixed order: what it is, whether it is whole,
 * what kind of image it is. Streams: what it holds does not grow with the file. Never throws for what the bytes are;
 * errors of the stream pass through.
 */
export async function inspectImage(chunks: AsyncIterable<Uint8Array>, options: InspectOptions): Promise<Inspection> {
  const reader = new ByteReader(chunks, options.sizeBytes);
  const sha256 = hashFromHere(reader);
  try {
    refuseSize(options);
    const image = await readImage(reader, options);
    await reader.each(Number.MAX_SAFE_INTEGER, () => {});
    if (reader.offset !== options.sizeBytes) {
      throw new Refusal('TRUNCATED_SEGMENT', `${options.sizeBytes} bytes were announced, ${reader.offset} came`);
    }
    return {
      verdict: 'ACCEPT',
      message: describe(image),
      sha256: sha256.digest('hex'),
      image,
      warnings: warningsOf(image),
    };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { verdict: error.verdict, message: error.message, sha256: null, image: null, warnings: [] };
  }
}

function refuseSize({ sizeBytes, maxSizeBytes = FORMAT_MAX_BYTES }: InspectOptions): void {
  if (sizeBytes === 0) throw new Refusal('EMPTY', 'the file is empty');
  if (sizeBytes > maxSizeBytes)
    throw new Refusal('TOO_LARGE', `the file is ${sizeBytes} bytes, at most ${maxSizeBytes} are possible`);
}

async function readImage(reader: ByteReader, options: InspectOptions): Promise<ParsedImage> {
  const { sizeBytes } = options;
  const head = await reader.peek(HEAD_BYTES);
  await refuseBlank(reader, head);
  refuseForeignFile(head, sizeBytes);
  refuseMagic(head);
  const firstLoadAddress = head.length >= 12 ? head.readUInt32LE(8) : 0;
  if (head.length >= 12 && isEsp8266LoadAddress(firstLoadAddress)) {
    if (!options.acceptEsp8266) throw refuseEsp8266(firstLoadAddress);
    return toEsp8266Image(await readEsp8266(reader, sizeBytes));
  }
  return readEsp32(reader, options);
}

/** A file that begins with FF may be a flash image whose boot loader comes later, or hold nothing at all. */
async function refuseBlank(reader: ByteReader, head: Buffer): Promise<void> {
  const fill = head[0];
  if (fill !== 0xff && fill !== 0) return;
  const firstOther = head.findIndex((byte) => byte !== fill);
  if (fill === 0xff && (firstOther === 0x1000 || firstOther === 0x2000) && head[firstOther] === 0xe9) {
    const parts = watchForFlashParts(reader);
    await reader.each(Number.MAX_SAFE_INTEGER, () => {});
    throw mergedImage(`boot loader at ${hex(firstOther)}`, parts());
  }
  if (firstOther !== -1) return;
  let blank = true;
  await reader.each(Number.MAX_SAFE_INTEGER, (chunk) => {
    blank &&= chunk.every((byte) => byte === fill);
  });
  if (blank) throw new Refusal('BLANK', `every byte is ${hex(fill)}: the file holds nothing`);
  throw new Refusal('NOT_ESP_IMAGE', `the file begins with a long run of ${hex(fill)}, expected 0xe9`);
}

function refuseMagic(head: Buffer): void {
  const magic = head[0] ?? 0;
  if (magic === 0xea && head[1] === 4) {
    throw new Refusal(
      'ESP8266_V2',
      'this is an ESP8266 image in the format of the NONOS SDK (user1/user2), which this service does not know',
    );
  }
  if (magic !== 0xe9) {
    const encrypted = head.length >= 4096 && entropy(head.subarray(0, 4096)) > 7.9 ? '; it looks encrypted' : '';
    throw new Refusal('NOT_ESP_IMAGE', `the first byte is ${hex(magic)}, expected 0xe9${encrypted}`);
  }
}

const HEADER_BYTES = 24;

async function readEsp32(reader: ByteReader, options: InspectOptions): Promise<ParsedImage> {
  const flashParts = watchForFlashParts(reader);
  const digests = { sha256: hashFromHere(reader), sha384: createHash('sha384') };
  reader.observe((chunk) => digests.sha384.update(chunk));
  const header = await reader.take(HEADER_BYTES);
  const { chip, segmentCount, hashAppended } = checkHeader(header);
  const body = await readBody(reader, segmentCount, options.sizeBytes);
  const appendedSha256 = hashAppended ? await checkAppendedHash(reader, digests.sha256) : null;
  const imageBytes = reader.offset;
  const trailing = await readTrailing(reader, digests);
  if (trailing.kind !== 'secure-boot-v2') refuseFlashImage(imageBytes, flashParts(), chip);
  refuseKind(body, chip);
  const descriptor = readDescriptor(body.firstBytes);
  refuseMisaligned(body.segments, chip, descriptor);
  if (descriptor === undefined && !options.allowWithoutDescriptor) {
    throw new Refusal(
      'NO_APP_DESCRIPTOR',
      'the image has no application description (Arduino core 1.x, ESP-IDF before 3.3 or a bare-metal build); the setting allowWithoutDescriptor of the model accepts it',
    );
  }
  refuseTrailing(imageBytes, trailing);
  return {
    chip: chip.name,
    imageBytes,
    segments: body.segments,
    entryAddress: header.readUInt32LE(4),
    spiMode: header.readUInt8(2),
    spiSpeed: header.readUInt8(3) & 0x0f,
    spiSize: header.readUInt8(3) >> 4,
    minChipRevision: header.readUInt16LE(15),
    maxChipRevision: header.readUInt16LE(17),
    appendedSha256,
    descriptor: descriptor ?? null,
    signature: trailing.kind === 'secure-boot-v1' || trailing.kind === 'secure-boot-v2' ? trailing.kind : 'none',
    keyDigests: trailing.keyDigests,
  };
}

function checkHeader(header: Buffer): { chip: Chip; segmentCount: number; hashAppended: boolean } {
  if (header.length < HEADER_BYTES)
    throw new Refusal('TRUNCATED_HEADER', `${header.length} bytes, the header needs ${HEADER_BYTES}`);
  const chipId = header.readUInt16LE(12);
  const chip = chipById(chipId);
  if (chip === undefined) throw new Refusal('UNKNOWN_CHIP_ID', `chip id ${chipId} is not a known Espressif chip`);
  const hashFlag = header.readUInt8(23);
  if (hashFlag > 1) throw new Refusal('BAD_HASH_FLAG', `byte 23 is ${hashFlag}, expected 0 or 1`);
  const segmentCount = header.readUInt8(1);
  if (segmentCount < 1 || segmentCount > 16) {
    throw new Refusal('BAD_SEGMENT_COUNT', `the header declares ${segmentCount} segments, 1 to 16 are possible`);
  }
  return { chip, segmentCount, hashAppended: hashFlag === 1 };
}

function refuseFlashImage(imageBytes: number, parts: PartsOfFlash, chip: Chip): void {
  const second = parts.app !== null && parts.app.offset >= imageBytes && parts.app.chip === chip.name;
  const table = parts.partitionTableAt !== null && parts.partitionTableAt >= imageBytes;
  if (table || second) throw mergedImage(`image at 0 ends ${hex(imageBytes)}`, parts);
}

/** Names the application inside: the uploader has the right firmware in the wrong wrapper. */
function mergedImage(start: string, { partitionTableAt, app }: PartsOfFlash): Refusal {
  const table = partitionTableAt === null ? '' : `, partition table at ${hex(partitionTableAt)}`;
  const label = app === null ? '' : [app.project, app.version].filter(Boolean).join(' ');
  const inside = app === null ? '' : `; the application in it is at ${hex(app.offset)}${label && ` (${label})`}`;
  return new Refusal(
    'MERGED_FLASH_IMAGE',
    `this is a full flash image (${start}${table}); upload the application .bin alone${inside}`,
  );
}

const isFlashMapped = (chip: Chip, { loadAddress }: Segment) =>
  chip.flashWindows.some(([start, end]) => loadAddress >= start && loadAddress < end);

function refuseKind({ segments, firstBytes }: ImageBody, chip: Chip): void {
  if (segments.some((segment) => isFlashMapped(chip, segment))) return;
  const idf = readBootloaderIdf(firstBytes);
  if (idf !== undefined)
    throw new Refusal(
      'BOOTLOADER_IMAGE',
      `this is a second-stage boot loader (descriptor, idf ${idf}); upload the application .bin`,
    );
  throw new Refusal(
    'NO_FLASH_SEGMENTS',
    'no segment lies in mapped flash: this is a boot loader or RAM-only build; upload the application .bin',
  );
}

function refuseMisaligned(segments: readonly Segment[], chip: Chip, descriptor: AppDescriptor | undefined): void {
  const recorded = descriptor?.mmuPageSize ?? 0;
  const page = recorded >= 12 && recorded <= 16 ? 2 ** recorded : chip.minPageBytes;
  segments.forEach((segment, index) => {
    const { fileOffset, loadAddress } = segment;
    if (!isFlashMapped(chip, segment) || fileOffset % page === loadAddress % page) return;
    throw new Refusal(
      'SEGMENT_MISALIGNED',
      `segment ${index} at file offset ${hex(fileOffset)} does not fit its load address ${hex(loadAddress)} in pages of ${page} bytes`,
    );
  });
}

function refuseTrailing(imageBytes: number, { kind, bytes }: Trailing): void {
  if (kind !== 'unexplained') return;
  throw new Refusal('TRAILING_DATA', `${bytes} unexplained bytes after the image's end at ${hex(imageBytes)}`);
}

function toEsp8266Image({ imageBytes }: { readonly imageBytes: number }): ParsedImage {
  return {
    chip: ESP8266,
    imageBytes,
    segments: [],
    entryAddress: null,
    spiMode: null,
    spiSpeed: null,
    spiSize: null,
    minChipRevision: null,
    maxChipRevision: null,
    appendedSha256: null,
    descriptor: null,
    signature: 'none',
    keyDigests: [],
  };
}

function describe({ chip, descriptor }: ParsedImage): string {
  const build =
    descriptor === null
      ? ''
      : `, ${descriptor.projectName || 'unnamed'} ${descriptor.version}, ESP-IDF ${descriptor.idfVersion}`;
  return `application image for ${chip}${build}`;
}

/** The versions that the Arduino core's builder writes are those of the core, the same for every sketch. */
const BUILDER_PROJECT = 'arduino-lib-builder';

function warningsOf({ chip, appendedSha256, descriptor }: ParsedImage): Warning[] {
  const warnings: Warning[] = [];
  if (appendedSha256 === null && chip !== ESP8266) {
    warnings.push({ code: 'NO_APPENDED_HASH', message: 'only a one-byte checksum protects the image on the device' });
  }
  if (descriptor?.projectName === BUILDER_PROJECT) {
    warnings.push({
      code: 'ARDUINO_DESCRIPTOR',
      message: 'project and version in the image are those of the Arduino core',
    });
  }
  return warnings;
}
