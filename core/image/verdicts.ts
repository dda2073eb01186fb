/** What an upload is. Only ACCEPT may become a release. */
export const VERDICTS = [
  'ACCEPT',
  'EMPTY',
  'TOO_LARGE',
  'SIZE_MISMATCH',
  'ELF',
  'UF2',
  'GZIP',
  'ZIP',
  'INTEL_HEX',
  'PARTITION_TABLE',
  'OTADATA',
  'LITTLEFS',
  'NVS',
  'BLANK',
  'TEXT_MANGLED',
  'GIT_LFS_POINTER',
  'WEB_PAGE',
  'JSON',
  'MERGED_FLASH_IMAGE',
  'ESP8266_V1',
  'ESP8266_V2',
  'NOT_ESP_IMAGE',
  'TRUNCATED_HEADER',
  'UNKNOWN_CHIP_ID',
  'BAD_HASH_FLAG',
  'BAD_SEGMENT_COUNT',
  'TRUNCATED_SEGMENT',
  'SEGMENT_UNALIGNED',
  'SEGMENT_TOO_LARGE',
  'TRUNCATED_CHECKSUM',
  'CHECKSUM_MISMATCH',
  'TRUNCATED_HASH',
  'HASH_MISMATCH',
  'BOOTLOADER_IMAGE',
  'NO_FLASH_SEGMENTS',
  'SEGMENT_MISALIGNED',
  'NO_APP_DESCRIPTOR',
  'TRAILING_DATA',
  'SIGNATURE_CRC',
  'SIGNATURE_DIGEST',
  'SIGNATURE_INVALID',
] as const;
export type Verdict = (typeof VERDICTS)[number];

/** Why an image is not accepted; caught at the end of the inspection. The message is for the uploader. */
export class ImageRejection extends Error {
  readonly verdict: Exclude<Verdict, 'ACCEPT'>;

  constructor(verdict: Exclude<Verdict, 'ACCEPT'>, message: string) {
    super(message);
    this.verdict = verdict;
  }
}

export const hex = (value: number): string => `0x${value.toString(16)}`;

/** The advice of most refusals. */
export const UPLOAD_APP_BINARY =
  'upload the application .bin of the build (build/<project>.bin of ESP-IDF, firmware.bin of PlatformIO, <sketch>.ino.bin of Arduino)';
