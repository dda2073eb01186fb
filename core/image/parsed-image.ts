import type { AppDescriptor, BootloaderDescriptor } from './descriptor.ts';
import type { SignatureBlock } from './signature-blocks.ts';

export interface Segment {
  readonly loadAddress: number;
  readonly dataBytes: number;
  /** Offset of its data in the file. */
  readonly fileOffset: number;
  /** True if the segment is used in place, from flash; false if it is copied to RAM. */
  readonly flashMapped: boolean;
}

/** A check value as stored in the file and as calculated from its bytes. */
export interface CheckValue<T> {
  readonly offset: number;
  readonly stored: T;
  readonly calculated: T;
}

/** The header fields that the ESP32 family has in addition to the ESP8266's (esp_image_header_t). */
export interface ExtendedHeader {
  readonly chipId: number;
  readonly wpPin: number;
  /** In hex, in the order of the file. */
  readonly pinDrive: string;
  readonly reserved: string;
  /** The field of ESP-IDF before 4.4: a major revision (minor on the ESP32-C3). */
  readonly legacyMinChipRevision: number;
  readonly hashAppended: boolean;
}

/** What the bytes of an image state. */
export interface ParsedImage {
  readonly chip: string;
  /** Where the image ends, including its appended hash. The chip reads nothing after it, except a signature. */
  readonly imageBytes: number;
  readonly trailingBytes: number;
  /** Null for an ESP8266. */
  readonly header: ExtendedHeader | null;
  readonly segments: readonly Segment[];
  readonly entryAddress: number;
  readonly spiMode: number;
  readonly spiSpeed: number;
  readonly spiSize: number;
  /** `QIO`, `QOUT`, `DIO`, `DOUT`, `FAST_READ`, `SLOW_READ`; null for any other `spiMode`. */
  readonly flashMode: string | null;
  /** The flash size for which the image was built; null if `spiSize` has no meaning. */
  readonly flashBytes: number | null;
  /** Revisions as major × 100 + minor; 0 (or 65535 for the maximum) means no limit. Null for an ESP8266. */
  readonly minChipRevision: number | null;
  readonly maxChipRevision: number | null;
  /** XOR of 0xEF and all segment data, one byte. */
  readonly checksum: CheckValue<number>;
  /** The appended SHA-256 in hex, verified; null if there is none. */
  readonly appendedSha256: CheckValue<string> | null;
  /** The CRC that the Arduino core for the ESP8266 writes into the file, verified; null if there is none. */
  readonly arduinoCrc: CheckValue<number> | null;
  readonly descriptor: AppDescriptor | null;
  /** Only set for a bootloader, which is never accepted. */
  readonly bootloader: BootloaderDescriptor | null;
  /** v1 is recognized only by its shape, because the image does not contain the key. */
  readonly signature: 'none' | 'secure-boot-v1' | 'secure-boot-v2';
  /** Each is verified under the key that it contains; the caller decides whether that key is trusted. */
  readonly signatureBlocks: readonly SignatureBlock[];
}

export interface Warning {
  readonly code: string;
  readonly message: string;
}

/** A file that was read as an image to its end, and the checks that are still to be made. */
export interface Reading {
  readonly image: ParsedImage;
  readonly warnings: readonly Warning[];
  /** @throws ImageRejection */
  readonly validate: () => void;
}

const FLASH_MODES = ['QIO', 'QOUT', 'DIO', 'DOUT', 'FAST_READ', 'SLOW_READ'];

/** The first eight bytes, which are the same for all chips. */
export function readCommonHeader(header: Buffer) {
  const spiMode = header.readUInt8(2);
  const sizeAndSpeed = header.readUInt8(3);
  return {
    segmentCount: header.readUInt8(1),
    spiMode,
    spiSpeed: sizeAndSpeed & 0x0f,
    spiSize: sizeAndSpeed >> 4,
    flashMode: FLASH_MODES[spiMode] ?? null,
    entryAddress: header.readUInt32LE(4),
  };
}
