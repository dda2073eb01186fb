import type { Hash } from 'node:crypto';
import type { ByteReader } from './byte-reader.ts';
import { type Chip, chipById, MAX_PAGE_BYTES } from './chips.ts';
import { type AppDescriptor, readBootloaderDescriptor, readDescriptor } from './descriptor.ts';
import { refuseFlashImage, watchForFlashParts } from './flash-parts.ts';
import { readAppendedHash, readBody, refuseChecksum } from './image-body.ts';
import {
  type ExtendedHeader,
  type ParsedImage,
  type Reading,
  readCommonHeader,
  type Segment,
  type Warning,
} from './parsed-image.ts';
import { BLOCKS, isSignatureSector, readSignatureSector, type SignatureBlock } from './signature-blocks.ts';
import { SignedBytes } from './signed-bytes.ts';
import { isV1Signature, readTrailing, refuseTrailing, type Trailing, trailingWarnings } from './trailing.ts';
import { hex, ImageRejection, UPLOAD_APP_BINARY } from './verdicts.ts';

const HEADER_BYTES = 24;
const MB = 1024 * 1024;

export interface Esp32Options {
  readonly sizeBytes: number;
  readonly allowWithoutDescriptor?: boolean;
}

/**
 * Reads an image of the ESP32 family to the end of the file: header, segments, checksum, hash and trailing bytes
 * (ESP-IDF, esp_image_format.c).
 * @param sha256 of the file so far
 * @throws ImageRejection if the image is incomplete or damaged
 */
export async function readEsp32(reader: ByteReader, sha256: Hash, options: Esp32Options): Promise<Reading> {
  const partsFrom = watchForFlashParts(reader);
  const signed = new SignedBytes(reader, BLOCKS);
  const bytes = await reader.take(HEADER_BYTES);
  const { chip, ...header } = readHeader(bytes);
  const common = readCommonHeader(bytes);
  const rules = { chip, sizeBytes: options.sizeBytes, wholeWords: true };
  const { segments, firstBytes, checksum } = await readBody(reader, common.segmentCount, rules);
  refuseChecksum(checksum);
  const appendedSha256 = header.hashAppended ? await readAppendedHash(reader, sha256) : null;
  const trailing = await readTrailing(reader, signed);
  const signature = readSignature(trailing, signed, chip);
  const { segmentCount: _, ...shared } = common;
  const image: ParsedImage = {
    ...shared,
    chip: chip.name,
    imageBytes: trailing.offset,
    trailingBytes: trailing.bytes,
    header,
    segments,
    flashBytes: common.spiSize <= 7 ? MB << common.spiSize : null,
    minChipRevision: bytes.readUInt16LE(15),
    maxChipRevision: bytes.readUInt16LE(17),
    checksum,
    appendedSha256,
    arduinoCrc: null,
    descriptor: readDescriptor(firstBytes),
    bootloader: segments.some(({ flashMapped }) => flashMapped) ? null : readBootloaderDescriptor(firstBytes),
    signature: signature.kind,
    signatureBlocks: signature.blocks,
  };
  const validate = () => {
    refuseFlashImage(trailing.offset, partsFrom(trailing.offset), chip.name);
    refuseKind(image);
    refuseMisaligned(segments, chip, image.descriptor);
    if (image.descriptor === null) refuseWithoutDescriptor(chip, options.allowWithoutDescriptor);
    if (signature.kind === 'none') refuseTrailing(trailing);
    if (signature.refusal !== undefined) throw signature.refusal;
  };
  return { image, validate, warnings: [...warningsOf(image), ...trailingWarnings(trailing)] };
}

function readHeader(header: Buffer): ExtendedHeader & { readonly chip: Chip } {
  if (header.length < HEADER_BYTES)
    throw new ImageRejection(
      'TRUNCATED_HEADER',
      `the file is ${header.length} bytes, the header needs ${HEADER_BYTES}: the upload was cut short; upload it again`,
    );
  const chipId = header.readUInt16LE(12);
  const chip = chipById(chipId);
  if (chip === undefined) {
    throw new ImageRejection(
      'UNKNOWN_CHIP_ID',
      `chip id ${chipId} is not a known Espressif chip; ${UPLOAD_APP_BINARY}`,
    );
  }
  const hashFlag = header.readUInt8(23);
  if (hashFlag > 1)
    throw new ImageRejection(
      'BAD_HASH_FLAG',
      `byte 23 (hash appended) is ${hashFlag}, expected 0 or 1: the file is damaged; build and upload it again`,
    );
  return {
    chip,
    chipId,
    wpPin: header.readUInt8(8),
    pinDrive: header.toString('hex', 9, 12),
    reserved: header.toString('hex', 19, 23),
    legacyMinChipRevision: header.readUInt8(14),
    hashAppended: hashFlag === 1,
  };
}

interface Signature {
  readonly kind: ParsedImage['signature'];
  readonly blocks: readonly SignatureBlock[];
  readonly refusal?: ImageRejection;
}

/** Does not throw for a damaged signature, because the kind of image is checked first. */
function readSignature(trailing: Trailing, signed: SignedBytes, chip: Chip): Signature {
  const { sector } = trailing;
  if (sector === undefined || !isSignatureSector(sector)) {
    // Only the original ESP32 has secure boot v1.
    return { kind: chip.name === 'ESP32' && isV1Signature(trailing) ? 'secure-boot-v1' : 'none', blocks: [] };
  }
  try {
    return { kind: 'secure-boot-v2', blocks: readSignatureSector(sector, signed) };
  } catch (error) {
    if (!(error instanceof ImageRejection)) throw error;
    return { kind: 'secure-boot-v2', blocks: [], refusal: error };
  }
}

function refuseKind({ segments, bootloader }: ParsedImage): void {
  if (segments.some(({ flashMapped }) => flashMapped)) return;
  if (bootloader !== null)
    throw new ImageRejection(
      'BOOTLOADER_IMAGE',
      `this is a second-stage bootloader (descriptor, idf ${bootloader.idfVersion}); ${UPLOAD_APP_BINARY}`,
    );
  throw new ImageRejection(
    'NO_FLASH_SEGMENTS',
    `no segment lies in mapped flash: this is a bootloader or RAM-only build; ${UPLOAD_APP_BINARY}`,
  );
}

/**
 * The chip maps whole pages, so a segment must have the same offset in its page of the file and in its page of memory.
 */
function refuseMisaligned(segments: readonly Segment[], chip: Chip, descriptor: AppDescriptor | null): void {
  const recorded = 2 ** (descriptor?.mmuPageSize ?? 0);
  const page = recorded >= chip.minPageBytes && recorded <= MAX_PAGE_BYTES ? recorded : chip.minPageBytes;
  segments.forEach(({ fileOffset, loadAddress, flashMapped }, index) => {
    if (!flashMapped || fileOffset % page === loadAddress % page) return;
    throw new ImageRejection(
      'SEGMENT_MISALIGNED',
      `segment ${index} at file offset ${hex(fileOffset)} does not match its load address ${hex(loadAddress)} in MMU pages of ${page} bytes; build it again with the chip's own tools`,
    );
  });
}

/** If the page size is configurable, the bootloader itself refuses an image that does not state it. */
function refuseWithoutDescriptor(chip: Chip, allowed = false): void {
  const needed = chip.minPageBytes < MAX_PAGE_BYTES;
  if (allowed && !needed) return;
  const remedy = needed
    ? `bootloaders of the ${chip.name} refuse such an image; build it with ESP-IDF 3.3 or later`
    : 'if that is intended, set allowWithoutDescriptor for the model';
  throw new ImageRejection(
    'NO_APP_DESCRIPTOR',
    `the image has no application description (Arduino core 1.x, ESP-IDF before 3.3 or a bare-metal build); ${remedy}`,
  );
}

function warningsOf({ appendedSha256, descriptor }: ParsedImage): Warning[] {
  const warnings: Warning[] = [];
  const warn = (code: string, message: string) => warnings.push({ code, message });
  if (appendedSha256 === null) warn('NO_APPENDED_HASH', 'only a one-byte checksum protects the image on the device');
  if (descriptor === null) warn('NO_APP_DESCRIPTOR', 'the image states neither project nor version');
  else if (descriptor.version === '') warn('EMPTY_VERSION', 'the image does not state a version');
  return warnings;
}
