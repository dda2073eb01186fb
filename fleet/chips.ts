import { OtaFailure } from './ota-failure.ts';

/** First byte of every ESP32 image, and of every ESP8266 image of Arduino. */
const IMAGE_MAGIC = 0xe9;
const CHIP_ID_OFFSET = 12;
/** Bytes of an image that `checkChip` needs. */
export const IMAGE_HEADER_BYTES = 24;

/** Chip ids of the image header: `esp_chip_id_t` in ESP-IDF's esp_app_format.h. ESP8266 images have none. */
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

/** The chips of virtual devices. */
export type Chip = keyof typeof CHIP_IDS;

/** Checks the first byte, as Arduino's Update library does on the first write. @throws OtaFailure for any other byte */
export function checkMagic(firstByte: number | undefined): void {
  if (firstByte === IMAGE_MAGIC) return;
  const found = firstByte === undefined ? 'nothing' : `0x${firstByte.toString(16).padStart(2, '0')}`;
  throw new OtaFailure(9, `the image starts with ${found}, expected 0xe9`);
}

/** The chip of an application image; undefined for an ESP8266 image and for a file that is not a valid image. */
export function chipOf(image: Uint8Array): Chip | undefined {
  if (image.length < IMAGE_HEADER_BYTES || image[0] !== IMAGE_MAGIC) return undefined;
  const id = Buffer.from(image).readUInt16LE(CHIP_ID_OFFSET);
  return (Object.keys(CHIP_IDS) as Chip[]).find((chip) => CHIP_IDS[chip] === id);
}

/** Checks the chip id, as ESP-IDF does before it sets the boot partition. @throws OtaFailure for another chip */
export function checkChip(header: Uint8Array, chip: Chip): void {
  const expected = CHIP_IDS[chip];
  if (expected === undefined) return;
  if (header.length < IMAGE_HEADER_BYTES) {
    throw new OtaFailure(9, `the image has ${header.length} bytes, its header alone needs ${IMAGE_HEADER_BYTES}`);
  }
  const found = Buffer.from(header).readUInt16LE(CHIP_ID_OFFSET);
  if (found !== expected) throw new OtaFailure(9, `the image is for chip id ${found}, ${chip} has ${expected}`);
}
