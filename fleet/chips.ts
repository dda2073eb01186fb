import { OtaFailure } from './ota-failure.ts';

/** The first byte of every image that an ESP32 or, in Arduino's form, an ESP8266 boots. */
const IMAGE_MAGIC = 0xe9;
const CHIP_ID_OFFSET = 12;
/** How much of an image `checkChip` has to see, in bytes. */
export const IMAGE_HEADER_BYTES = 24;

/** The image header's chip ids: `esp_chip_id_t` in ESP-IDF's esp_app_format.h. ESP8266 images carry none. */
const CHIP_IDS = {
  ESP32: 0,
  'ESP32-S2': 2,
  'ESP32-C3': 5,
  'ESP32-S3': 9,
  'ESP32-C2': 12,
  'ESP32-C6': 13,
  'ESP32-H2': 16,
  'ESP32-P4': 18,
  'ESP32-C61': 20,
  'ESP32-C5': 23,
  ESP8266: undefined,
} as const;

/** The chips that a virtual device can be. */
export type Chip = keyof typeof CHIP_IDS;

/** Refuses an image by its first byte, as Arduino's Update library does on the first write. */
export function checkMagic(firstByte: number | undefined): void {
  if (firstByte === IMAGE_MAGIC) return;
  const found = firstByte === undefined ? 'nothing' : `0x${firstByte.toString(16).padStart(2, '0')}`;
  throw new OtaFailure(9, `the image starts with ${found}, expected 0xe9`);
}

/** The chip that an application image is for; undefined where it does not say (an ESP8266's, or no image at all). */
export function chipOf(image: Uint8Array): Chip | undefined {
  if (image.length < IMAGE_HEADER_BYTES || image[0] !== IMAGE_MAGIC) return undefined;
  const id = Buffer.from(image).readUInt16LE(CHIP_ID_OFFSET);
  return (Object.keys(CHIP_IDS) as Chip[]).find((chip) => CHIP_IDS[chip] === id);
}

/** Refuses a written image for another chip, as ESP-IDF does when the boot partition is to be set. */
export function checkChip(header: Uint8Array, chip: Chip): void {
  const expected = CHIP_IDS[chip];
  if (expected === undefined) return;
  if (header.length < IMAGE_HEADER_BYTES) {
    throw new OtaFailure(9, `the image has ${header.length} bytes, its header alone needs ${IMAGE_HEADER_BYTES}`);
  }
  const found = Buffer.from(header).readUInt16LE(CHIP_ID_OFFSET);
  if (found !== expected) throw new OtaFailure(9, `the image is for chip id ${found}, ${chip} has ${expected}`);
}
