import { createHash, type Hash } from 'node:crypto';
import { ByteReader } from './byte-reader.ts';
import { isEsp8266LoadAddress } from './chips.ts';
import { readEsp32 } from './esp32.ts';
import { readEsp8266, refuseEsp8266 } from './esp8266.ts';
import { mergedImage, watchForFlashParts } from './flash-parts.ts';
import { HEAD_BYTES, refuseForeignFile, refuseMagic } from './foreign-files.ts';
import type { ParsedImage, Reading, Warning } from './parsed-image.ts';
import { hex, ImageRejection, UPLOAD_APP_BINARY, type Verdict } from './verdicts.ts';

export type { ParsedImage, Warning } from './parsed-image.ts';

export interface InspectOptions {
  readonly sizeBytes: number;
  /** @default 16 MiB, the format's own limit on most chips */
  readonly maxSizeBytes?: number;
  /** Accept images without an application description (Arduino core 1.x, ESP-IDF before 3.3, bare metal). */
  readonly allowWithoutDescriptor?: boolean;
  /** Accept application images for the ESP8266. */
  readonly acceptEsp8266?: boolean;
}

export interface Inspection {
  readonly verdict: Verdict;
  /** For the uploader: what the file is, and what to upload instead. */
  readonly message: string;
  /** SHA-256 of the whole file; null if the file was not read to its end. */
  readonly sha256: string | null;
  /** Also set for a refused file if it could be read as an image to its end. */
  readonly image: ParsedImage | null;
  readonly warnings: readonly Warning[];
}

export const FORMAT_MAX_BYTES = 16 * 1024 * 1024;

/**
 * Reads a file as an Espressif application image and verifies it in a fixed order: what the file is, whether it is
 * complete, what kind of image it is. Memory use does not grow with the file. A file over the limit is not read, and
 * nothing is read past the stated size. Never throws because of the file's content; errors of the stream are thrown.
 */
export async function inspectImage(chunks: AsyncIterable<Uint8Array>, options: InspectOptions): Promise<Inspection> {
  const unread = evaluateSize(options);
  if (unread !== undefined) return unread;
  const reader = new ByteReader(chunks, options.sizeBytes);
  const sha256 = createHash('sha256');
  reader.observe((chunk) => sha256.update(chunk));
  const evaluated = await evaluateBytes(reader, sha256, options);
  await reader.drain();
  return evaluateReceived(reader, options) ?? { ...evaluated, sha256: sha256.digest('hex') };
}

function evaluateSize({ sizeBytes, maxSizeBytes = FORMAT_MAX_BYTES }: InspectOptions): Inspection | undefined {
  if (sizeBytes === 0) return unreadable('EMPTY', `the file is empty; ${UPLOAD_APP_BINARY}`);
  if (sizeBytes <= maxSizeBytes) return undefined;
  return unreadable(
    'TOO_LARGE',
    `the file is ${sizeBytes} bytes, at most ${maxSizeBytes} are possible; ${UPLOAD_APP_BINARY}, not an image of the whole flash`,
  );
}

/** A verdict on part of a file would be meaningless. */
function evaluateReceived(reader: ByteReader, { sizeBytes }: InspectOptions): Inspection | undefined {
  if (reader.offset === sizeBytes && !reader.overflowed) return undefined;
  const received = reader.overflowed ? 'more' : String(reader.offset);
  return unreadable(
    'SIZE_MISMATCH',
    `${sizeBytes} bytes were announced, ${received} were received; upload the file again`,
  );
}

const unreadable = (verdict: Verdict, message: string): Inspection => ({
  verdict,
  message,
  sha256: null,
  image: null,
  warnings: [],
});

async function evaluateBytes(
  reader: ByteReader,
  sha256: Hash,
  options: InspectOptions,
): Promise<Omit<Inspection, 'sha256'>> {
  let image: ParsedImage | null = null;
  try {
    const reading = await readImage(reader, sha256, options);
    image = reading.image;
    reading.validate();
    return { verdict: 'ACCEPT', message: describe(image), image, warnings: reading.warnings };
  } catch (error) {
    if (!(error instanceof ImageRejection)) throw error;
    return { verdict: error.verdict, message: error.message, image, warnings: [] };
  }
}

async function readImage(reader: ByteReader, sha256: Hash, options: InspectOptions): Promise<Reading> {
  const { sizeBytes } = options;
  const head = await reader.peek(HEAD_BYTES);
  await refuseBlank(reader, head);
  refuseForeignFile(head, sizeBytes);
  refuseMagic(head, sizeBytes);
  // Checked before the chip id is read, because an ESP8266 image has other fields there.
  const firstLoadAddress = head.length >= 12 ? head.readUInt32LE(8) : 0;
  if (!isEsp8266LoadAddress(firstLoadAddress)) return readEsp32(reader, sha256, options);
  if (!options.acceptEsp8266) throw refuseEsp8266(firstLoadAddress);
  return readEsp8266(reader, sha256, sizeBytes);
}

/** Where the bootloader of a chip lies, if not at 0 (ESP_ROM_BOOTLOADER_OFFSET_FLASH). */
const BOOTLOADER_OFFSETS = [0x1000, 0x2000];

/** A file that starts with FF may be a flash image whose bootloader comes later, or be blank. */
async function refuseBlank(reader: ByteReader, head: Buffer): Promise<void> {
  const fill = head[0];
  if (fill !== 0xff && fill !== 0) return;
  const firstOther = head.findIndex((byte) => byte !== fill);
  if (fill === 0xff && BOOTLOADER_OFFSETS.includes(firstOther) && head[firstOther] === 0xe9) {
    const partsFrom = watchForFlashParts(reader);
    await reader.drain();
    throw mergedImage(`bootloader at ${hex(firstOther)}`, partsFrom(firstOther + 1));
  }
  if (firstOther !== -1) return;
  let blank = true;
  await reader.each(Number.POSITIVE_INFINITY, (chunk) => {
    blank &&= chunk.every((byte) => byte === fill);
  });
  if (blank) throw new ImageRejection('BLANK', `every byte is ${hex(fill)}: the file is blank; ${UPLOAD_APP_BINARY}`);
  throw new ImageRejection(
    'NOT_ESP_IMAGE',
    `the file begins with a long run of ${hex(fill)}, expected 0xe9; ${UPLOAD_APP_BINARY}`,
  );
}

function describe({ chip, descriptor }: ParsedImage): string {
  const build =
    descriptor === null
      ? ''
      : `, ${descriptor.projectName || 'unnamed'} ${descriptor.version}, ESP-IDF ${descriptor.idfVersion}`;
  return `application image for ${chip}${build}`;
}
