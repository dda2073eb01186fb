import { crc32 } from 'node:zlib';
import { isPartitionEntry } from './flash-parts.ts';
import { hex, ImageRejection, UPLOAD_APP_BINARY } from './verdicts.ts';

/** How many bytes from the start of a file the checks below need. */
export const HEAD_BYTES = 0x2000 + 32;

const SECTOR_BYTES = 4096;
/** Page states of an NVS partition (nvs_page.hpp): active, full, being freed. */
const NVS_STATES = [0xfffffffe, 0xfffffffc, 0xfffffff8];
const MACHINES: Readonly<Record<number, string>> = { 94: 'Xtensa', 243: 'RISC-V' };

/** Family ids of UF2 files (esptool, targets/*.py). */
const UF2_FAMILIES: Readonly<Record<number, string>> = {
  475996592: 'ESP32',
  3218951918: 'ESP32-S2',
  3296614247: 'ESP32-S3',
  3559628908: 'ESP32-C3',
  730387100: 'ESP32-C2',
  4145808195: 'ESP32-C5',
  1410195298: 'ESP32-C6',
  2010665156: 'ESP32-C61',
  858203894: 'ESP32-H2',
  3067936943: 'ESP32-H21',
  2651564682: 'ESP32-H4',
  1026592404: 'ESP32-P4',
  822212545: 'ESP32-S31',
  2125160941: 'ESP8266',
};

/**
 * Recognizes files that people upload by mistake, so that the message can name them.
 * @param head the first {@link HEAD_BYTES} of the file, or all of it
 * @throws ImageRejection that says what the file is
 */
export function refuseForeignFile(head: Buffer, sizeBytes: number): void {
  refuseBuildProducts(head);
  refuseArchives(head);
  refuseFlashParts(head, sizeBytes);
  refuseText(head);
}

function refuseBuildProducts(head: Buffer): void {
  if (u32(head, 0) === 0x464c457f) {
    const machine = MACHINES[u16(head, 18)] ?? hex(Math.max(0, u16(head, 18)));
    throw new ImageRejection(
      'ELF',
      `this is the build's ELF file (machine ${machine}), not an image; ${UPLOAD_APP_BINARY}`,
    );
  }
  if (u32(head, 0) === 0x0a324655 && u32(head, 4) === 0x9e5d5157) {
    throw new ImageRejection('UF2', `this is a UF2 file (${uf2Family(head)}) for drag-and-drop; ${UPLOAD_APP_BINARY}`);
  }
  if (/^:[0-9A-Fa-f]{10}/.test(ascii(head, 0, 16)))
    throw new ImageRejection('INTEL_HEX', `this is an Intel HEX file; ${UPLOAD_APP_BINARY}`);
}

function uf2Family(head: Buffer): string {
  const hasFamily = (u32(head, 8) & 0x2000) !== 0 && head.length >= 32;
  return hasFamily ? `family ${UF2_FAMILIES[u32(head, 28)] ?? hex(u32(head, 28))}` : 'without a family';
}

function refuseArchives(head: Buffer): void {
  if (u16(head, 0) === 0x8b1f)
    throw new ImageRejection('GZIP', `this is gzip-compressed; unpack it and ${UPLOAD_APP_BINARY}`);
  if (u32(head, 0) === 0x04034b50)
    throw new ImageRejection('ZIP', `this is a zip archive; unpack it and ${UPLOAD_APP_BINARY}`);
}

function refuseFlashParts(head: Buffer, sizeBytes: number): void {
  if (isPartitionEntry(head))
    throw new ImageRejection('PARTITION_TABLE', `this is a partition table; ${UPLOAD_APP_BINARY}`);
  const sequence = otadataSequence(head, sizeBytes);
  if (sequence !== undefined) {
    throw new ImageRejection('OTADATA', `this is OTA data (boot_app0.bin, ota_seq=${sequence}); ${UPLOAD_APP_BINARY}`);
  }
  if (ascii(head, 8, 16) === 'littlefs') {
    throw new ImageRejection('LITTLEFS', `this is a LittleFS file system image, not firmware; ${UPLOAD_APP_BINARY}`);
  }
  if (sizeBytes % SECTOR_BYTES === 0 && NVS_STATES.includes(u32(head, 0)) && (head[8] ?? 0) >= 0xfe) {
    throw new ImageRejection('NVS', `this is an NVS partition image, not firmware; ${UPLOAD_APP_BINARY}`);
  }
}

function refuseText(head: Buffer): void {
  const start = head.toString('hex', 0, 3);
  if (start === 'efbfbd' || start === 'efbfbf') {
    throw new ImageRejection(
      'TEXT_MANGLED',
      'the file was converted as text on its way, which destroyed it; transfer it as binary',
    );
  }
  const text = head.toString('utf8', 0, 256).trimStart();
  if (text.startsWith('version https://git-lfs.github.com/spec/')) {
    throw new ImageRejection(
      'GIT_LFS_POINTER',
      `this is a Git LFS pointer, not the file that it stands for; run "git lfs pull" (in GitHub Actions: checkout with "lfs: true") and ${UPLOAD_APP_BINARY}`,
    );
  }
  if (text.startsWith('<'))
    throw new ImageRejection('WEB_PAGE', `this is a web page, perhaps of a failed download; ${UPLOAD_APP_BINARY}`);
  if (/^[{[]\s*["{[\]}]/.test(text))
    throw new ImageRejection('JSON', `this is JSON, perhaps the error of a failed download; ${UPLOAD_APP_BINARY}`);
}

/** The sequence number of an otadata partition whose first or second record is intact (esp_ota_select_entry_t). */
function otadataSequence(head: Buffer, sizeBytes: number): number | undefined {
  if (sizeBytes !== 2 * SECTOR_BYTES) return undefined;
  for (const offset of [0, SECTOR_BYTES]) {
    const record = head.subarray(offset, offset + 32);
    if (record.length === 32 && crc32(record.subarray(0, 4), 0xffffffff) === u32(record, 28)) return u32(record, 0);
  }
  return undefined;
}

/** @throws ImageRejection if the first byte is not that of an image for any ESP32 */
export function refuseMagic(head: Buffer, sizeBytes: number): void {
  const magic = head[0] ?? 0;
  if (magic === 0xe9) return;
  if (magic === 0xea && head[1] === 4) {
    throw new ImageRejection(
      'ESP8266_V2',
      'this is an ESP8266 image in the format of the NONOS SDK (user1/user2), which this service does not support; build for the RTOS SDK or Arduino',
    );
  }
  throw new ImageRejection(
    'NOT_ESP_IMAGE',
    `the first byte is ${hex(magic)}, expected 0xe9${hint(head, sizeBytes)}; ${UPLOAD_APP_BINARY}`,
  );
}

/** Only a guess, because neither encryption nor SPIFFS can be recognized by the first bytes. */
function hint(head: Buffer, sizeBytes: number): string {
  if (head.length >= SECTOR_BYTES && entropy(head.subarray(0, SECTOR_BYTES)) > 7.9)
    return ': it looks encrypted or compressed';
  return sizeBytes % SECTOR_BYTES === 0 ? ': perhaps a data or file system image' : '';
}

/** Bits per byte; close to 8 if the bytes are encrypted or compressed. */
function entropy(bytes: Buffer): number {
  const counts = new Uint32Array(256);
  for (const byte of bytes) counts[byte] = (counts[byte] ?? 0) + 1;
  const shares = Array.from(counts, (count) => count / bytes.length).filter((share) => share > 0);
  return shares.reduce((sum, share) => sum - share * Math.log2(share), 0);
}

const u16 = (bytes: Buffer, offset: number) => (bytes.length >= offset + 2 ? bytes.readUInt16LE(offset) : -1);
const u32 = (bytes: Buffer, offset: number) => (bytes.length >= offset + 4 ? bytes.readUInt32LE(offset) : -1);
const ascii = (bytes: Buffer, start: number, end: number) => bytes.toString('latin1', start, end);
