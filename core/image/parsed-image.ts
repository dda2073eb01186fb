import type { AppDescriptor, BootloaderDescriptor } from './descriptor.ts';
import type { SignatureBlock } from './signature-blocks.ts';

export interface Segment {
  readonly loadAddress: number;
  readonly dataBytes: number;
  /** Where its data begins in the file. */
  readonly fileOffset: number;
  /** It is run or read in place, from flash, rather than copied to RAM. */
  readonly flashMapped: boolean;
}

/** A check value as the file states it and as its bytes give it. */
export interface CheckValue<T> {
  readonly offset: number;
  readonly stored: T;
  readonly calculated: T;
}

/** The fields that the ESP32 family's header has beyond the ESP8266's (esp_image_header_t). */
export interface ExtendedHeader {
  readonly chipId: number;
  readonly wpPin: number;
  /** In hex, as the bytes lie in the file. */
  readonly pinDrive: string;
  readonly reserved: string;
  /** The field of ESP-IDF before 4.4: a major revision (minor on the ESP32-C3). */
  readonly legacyMinChipRevision: number;
  readonly hashAppended: boolean;
}

/** What the image's own bytes say. */
export interface ParsedImage {
  readonly chip: string;
  /** Where the image ends, its appended hash included; what follows is not read by the chip, a signature apart. */
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
  /** The flash that the image was built for; null where `spiSize` has no meaning. */
  readonly flashBytes: number | null;
  /** Revisions as major × 100 + minor; 0 (or 65535 for the maximum) is no limit. Null for an ESP8266. */
  readonly minChipRevision: number | null;
  readonly maxChipRevision: number | null;
  /** XOR of 0xEF and all segment data, one byte. */
  readonly checksum: CheckValue<number>;
  /** The appended SHA-256 in hex, which was verified; null where there is none. */
  readonly appendedSha256: CheckValue<string> | null;
  /** The CRC that the Arduino core for the ESP8266 stamps into the file, which was verified. */
  readonly arduinoCrc: CheckValue<number> | null;
  readonly descriptor: AppDescriptor | null;
  /** Only of a boot loader, which is never accepted. */
  readonly bootloader: BootloaderDescriptor | null;
  /** v1 by its shape only: the key is not in the image. */
  readonly signature: 'none' | 'secure-boot-v1' | 'secure-boot-v2';
  /** Each verified under the key that it holds; whether that key is trusted is not for the image to say. */
  readonly signatureBlocks: readonly SignatureBlock[];
}

export interface Warning {
  readonly code: string;
  readonly message: string;
}

/** A file that was read as an image to its end, and the judgement on it that is still to be made. */
export interface Reading {
  readonly image: ParsedImage;
  readonly warnings: readonly Warning[];
  /** @throws Refusal */
  readonly validate: () => void;
}

const FLASH_MODES = ['QIO', 'QOUT', 'DIO', 'DOUT', 'FAST_READ', 'SLOW_READ'];

/** The first eight bytes, which all chips have in common. */
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
