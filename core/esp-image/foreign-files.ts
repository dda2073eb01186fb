import { crc32 } from './crc32.ts';
import { hex, Refusal } from './verdicts.ts';

/** How much of a file's beginning the signatures below look at. */
export const HEAD_BYTES = 0x2000 + 32;

const APP_BINARY = 'upload the application .bin of the build (made by esptool elf2image)';

/**
 * Recognises what people upload by mistake, so that the message can name it.
 * @param head the first {@link HEAD_BYTES} of the file, or all of it
 * @throws Refusal that says what the file is
 */
export function refuseForeignFile(head: Buffer, sizeBytes: number): void {
  if (head.subarray(0, 4).equals(Buffer.from('\x7fELF'))) {
    const machine = head.length >= 20 ? hex(head.readUInt16LE(18)) : 'unknown';
    throw new Refusal('ELF', `this is the build's ELF file (machine ${machine}), not an image; ${APP_BINARY}`);
  }
  if (u32(head, 0) === 0x0a324655 && u32(head, 4) === 0x9e5d5157) {
    const family = (u32(head, 8) & 0x2000) === 0 ? 'no family' : `family ${hex(u32(head, 28))}`;
    throw new Refusal('UF2', `this is a UF2 file (${family}) for drag-and-drop flashing; ${APP_BINARY}`);
  }
  if (u16(head, 0) === 0x8b1f) throw new Refusal('GZIP', `this is gzip-compressed; unpack it and ${APP_BINARY}`);
  if (u32(head, 0) === 0x04034b50) throw new Refusal('ZIP', `this is a zip archive; unpack it and ${APP_BINARY}`);
  if (/^:[0-9A-Fa-f]{10}/.test(ascii(head, 16)))
    throw new Refusal('INTEL_HEX', `this is an Intel HEX file; ${APP_BINARY}`);
  refuseFlashParts(head, sizeBytes);
  refuseText(head);
}

function refuseFlashParts(head: Buffer, sizeBytes: number): void {
  if (isPartitionEntry(head)) throw new Refusal('PARTITION_TABLE', `this is a partition table; ${APP_BINARY}`);
  const sequence = otadataSequence(head, sizeBytes);
  if (sequence !== undefined) {
    throw new Refusal('OTADATA', `this is OTA data (boot_app0.bin, ota_seq=${sequence}); ${APP_BINARY}`);
  }
  if (ascii(head.subarray(8), 8) === 'littlefs') {
    throw new Refusal('LITTLEFS', `this is a LittleFS file system image, not firmware; ${APP_BINARY}`);
  }
  const pageState = u32(head, 0);
  if (sizeBytes % 4096 === 0 && [0xfffffffe, 0xfffffffc, 0xfffffff8].includes(pageState) && (head[8] ?? 0) >= 0xfe) {
    throw new Refusal('NVS', `this is an NVS partition image, not firmware; ${APP_BINARY}`);
  }
}

function refuseText(head: Buffer): void {
  const start = head.subarray(0, 3).toString('hex');
  if (start === 'efbfbd' || start === 'efbfbf') {
    throw new Refusal(
      'TEXT_MANGLED',
      'the file was converted as text on its way, which destroyed it; transfer it as binary',
    );
  }
  const text = ascii(head, 64).trimStart();
  if (text.startsWith('<'))
    throw new Refusal('WEB_PAGE', `this is a web page, perhaps of a failed download; ${APP_BINARY}`);
  if (text.startsWith('{'))
    throw new Refusal('JSON', `this is JSON, perhaps the error of a failed download; ${APP_BINARY}`);
}

/** One entry of a partition table (gen_esp32part.py): magic AA 50, a known type, offset in whole sectors, some size. */
export function isPartitionEntry(bytes: Buffer): boolean {
  if (bytes.length < 32 || bytes[0] !== 0xaa || bytes[1] !== 0x50) return false;
  const type = bytes[2] ?? 0;
  const knownType = type <= 3 || (type >= 0x40 && type <= 0xfe);
  return knownType && u32(bytes, 4) % 0x1000 === 0 && u32(bytes, 8) > 0;
}

/** The sequence number of an otadata partition whose first or second record is intact (esp_ota_select_entry_t). */
function otadataSequence(head: Buffer, sizeBytes: number): number | undefined {
  if (sizeBytes !== 0x2000) return undefined;
  for (const offset of [0, 0x1000]) {
    const record = head.subarray(offset, offset + 32);
    if (record.length === 32 && crc32(record.subarray(0, 4), 0xffffffff) === u32(record, 28)) return u32(record, 0);
  }
  return undefined;
}

/** Bits a byte of the first 4 KiB; close to 8 for what is encrypted or compressed. */
export function entropy(bytes: Buffer): number {
  const counts = new Array<number>(256).fill(0);
  for (const byte of bytes) counts[byte] = (counts[byte] ?? 0) + 1;
  return counts
    .filter((count) => count > 0)
    .map((count) => count / bytes.length)
    .reduce((sum, share) => sum - share * Math.log2(share), 0);
}

const u16 = (bytes: Buffer, offset: number) => (bytes.length >= offset + 2 ? bytes.readUInt16LE(offset) : -1);
const u32 = (bytes: Buffer, offset: number) => (bytes.length >= offset + 4 ? bytes.readUInt32LE(offset) : -1);
const ascii = (bytes: Buffer, length: number) => bytes.subarray(0, length).toString('latin1');
