/** The application description (esp_app_desc_t), 256 bytes at offset 32 of the file. */
export interface AppDescriptor {
  readonly version: string;
  readonly projectName: string;
  readonly idfVersion: string;
  /**
   * Date of the build. In Arduino builds it is the date of the core, not of the sketch. Empty if the build omitted it.
   */
  readonly date: string;
  readonly time: string;
  /** SHA-256 of the ELF file, which identifies the build. */
  readonly elfSha256: string;
  /** Anti-rollback counter. */
  readonly secureVersion: number;
  readonly minEfuseBlockRevision: number;
  readonly maxEfuseBlockRevision: number;
  /** log2 of the MMU page; 0 if the build did not record it (before ESP-IDF 5.4). */
  readonly mmuPageSize: number;
  /** 0 if the build did not record it (before ESP-IDF 6.1). */
  readonly spiFlashMode: number;
}

/** The description of a second-stage bootloader (esp_bootloader_desc_t, from ESP-IDF 5.2). */
export interface BootloaderDescriptor {
  readonly secureVersion: number;
  readonly version: number;
  readonly idfVersion: string;
  readonly dateTime: string;
}

/** The project that the builder of the Arduino core states, with the core's version: the same for every sketch. */
export const ARDUINO_PROJECT = 'arduino-lib-builder';

export const DESCRIPTOR_OFFSET = 32;
export const DESCRIPTOR_BYTES = 256;
const MAGIC = 0xabcd5432;
const BOOTLOADER_BYTES = 80;
const BOOTLOADER_MAGIC = 0x50;

/**
 * @param bytes the first 256 bytes of segment 0
 * @returns null if they are not a description
 */
export function readDescriptor(bytes: Buffer): AppDescriptor | null {
  if (bytes.length < DESCRIPTOR_BYTES || bytes.readUInt32LE(0) !== MAGIC) return null;
  return {
    secureVersion: bytes.readUInt32LE(4),
    version: text(bytes, 16, 32),
    projectName: text(bytes, 48, 32),
    time: text(bytes, 80, 16),
    date: text(bytes, 96, 16),
    idfVersion: text(bytes, 112, 32),
    elfSha256: bytes.toString('hex', 144, 176),
    minEfuseBlockRevision: bytes.readUInt16LE(176),
    maxEfuseBlockRevision: bytes.readUInt16LE(178),
    mmuPageSize: bytes.readUInt8(180),
    spiFlashMode: bytes.readUInt8(181),
  };
}

/** Valid only if no segment is mapped from flash, because the magic is a single byte. */
export function readBootloaderDescriptor(bytes: Buffer): BootloaderDescriptor | null {
  if (bytes.length < BOOTLOADER_BYTES || bytes[0] !== BOOTLOADER_MAGIC) return null;
  const idfVersion = text(bytes, 8, 32);
  if (!/^v?\d/.test(idfVersion)) return null;
  return {
    secureVersion: bytes.readUInt8(3),
    version: bytes.readUInt32LE(4),
    idfVersion,
    dateTime: text(bytes, 40, 24),
  };
}

/** Reads text up to the first NUL, if there is one. Characters that are not printable ASCII become `?`. */
function text(bytes: Buffer, offset: number, length: number): string {
  const field = bytes.subarray(offset, offset + length);
  const end = field.indexOf(0);
  return field.toString('latin1', 0, end === -1 ? length : end).replaceAll(/[^\x20-\x7e]/g, '?');
}
