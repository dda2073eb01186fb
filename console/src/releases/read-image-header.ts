/** The kind of a file. It is determined before the upload, to save people an upload that the service would reject. */
export type ImageHeader =
  | { readonly kind: 'application'; readonly version: string; readonly project: string }
  /** An image without an application description, as every image for an ESP8266. */
  | { readonly kind: 'undescribed' }
  /** `what` completes the sentence "This is …". */
  | { readonly kind: 'foreign'; readonly what: string };

const IMAGE_MAGIC = 0xe9;
const DESCRIPTOR_AT = 32;
const DESCRIPTOR_BYTES = 256;
const DESCRIPTOR_MAGIC = 0xabcd5432;
/** esp_bootloader_desc_t begins with this byte and two reserved bytes. */
const BOOTLOADER_MAGIC = 0x50;
const VERSION_AT = 48;
const PROJECT_AT = 80;
const TEXT_BYTES = 32;
/** The default offset of a partition table, and its first two bytes. */
const PARTITION_TABLE_AT = 0x8000;
const PARTITION_MAGIC = 0x50aa;
/** The offset of the bootloader on some chips; a full flash image is empty before it. */
const BOOTLOADERS_AT = [0x1000, 0x2000];

/** Determines the kind of a file from its first bytes and a few others. */
export async function readImageHeader(file: Blob): Promise<ImageHeader> {
  const start = await read(file, 0, DESCRIPTOR_AT + DESCRIPTOR_BYTES);
  const table = await read(file, PARTITION_TABLE_AT, 8);
  const loaders = await Promise.all(BOOTLOADERS_AT.map((offset) => read(file, offset, 1)));
  const hasLoader = byte(start, 0) === 0xff && loaders.some((loader) => byte(loader, 0) === IMAGE_MAGIC);
  if (hasLoader || (byte(start, 0) === IMAGE_MAGIC && isPartition(table))) {
    return { kind: 'foreign', what: 'a merged image of the whole flash, for serial flashing and not for an update' };
  }
  return byte(start, 0) === IMAGE_MAGIC ? describeImage(start) : { kind: 'foreign', what: nameOf(start) };
}

function describeImage(start: DataView): ImageHeader {
  if (u32(start, DESCRIPTOR_AT) === DESCRIPTOR_MAGIC && start.byteLength === DESCRIPTOR_AT + DESCRIPTOR_BYTES) {
    return { kind: 'application', version: text(start, VERSION_AT), project: text(start, PROJECT_AT) };
  }
  const isLoader = ((u32(start, DESCRIPTOR_AT) ?? 0) & 0xffffff) === BOOTLOADER_MAGIC;
  return isLoader ? { kind: 'foreign', what: 'a boot loader' } : { kind: 'undescribed' };
}

/** True for an entry of a partition table: its magic, a known type, and an offset in whole sectors. */
const isPartition = (view: DataView) =>
  u16(view, 0) === PARTITION_MAGIC && (byte(view, 2) ?? 0xff) <= 3 && (u32(view, 4) ?? 1) % 0x1000 === 0;

/** Names a file that is not an image, by its first bytes. */
function nameOf(start: DataView): string {
  if (start.byteLength === 0) return 'an empty file';
  if (u32(start, 0) === 0x464c457f) return "the build's ELF file";
  if (u32(start, 0) === 0x0a324655) return 'a UF2 file, for drag-and-drop';
  if (u16(start, 0) === 0x8b1f) return 'compressed with gzip';
  if (u32(start, 0) === 0x04034b50) return 'a zip archive';
  if (isPartition(start)) return 'a partition table';
  if (isText(start)) return 'a text file';
  return `of another kind: its first byte is 0x${(byte(start, 0) ?? 0).toString(16)}, that of an image 0xe9`;
}

const isText = (start: DataView) =>
  Array.from({ length: start.byteLength }, (_, at) => start.getUint8(at)).every(
    (value) => (value >= 0x20 && value !== 0x7f) || [0x09, 0x0a, 0x0d].includes(value),
  );

const read = async (file: Blob, offset: number, length: number) =>
  new DataView(await file.slice(offset, offset + length).arrayBuffer());

// These return undefined past the end.
const byte = (view: DataView | undefined, at: number) =>
  view !== undefined && view.byteLength > at ? view.getUint8(at) : undefined;
const u16 = (view: DataView, at: number) => (view.byteLength >= at + 2 ? view.getUint16(at, true) : undefined);
const u32 = (view: DataView, at: number) => (view.byteLength >= at + 4 ? view.getUint32(at, true) : undefined);

function text(view: DataView, at: number): string {
  const bytes = new Uint8Array(view.buffer, at, TEXT_BYTES);
  const end = bytes.indexOf(0);
  return new TextDecoder('latin1').decode(bytes.subarray(0, end === -1 ? TEXT_BYTES : end));
}
