import { expect, test } from 'vitest';
import { CHIP_NAMES, chipOfModelName } from '../../../core/image/chips.ts';

test.each([
  ['esp32-s3', 'ESP32-S3'],
  ['esp32s3-van', 'ESP32-S3'],
  ['ESP32-S3-DevKitC-1', 'ESP32-S3'],
  ['esp32', 'ESP32'],
  ['esp32-van', 'ESP32'],
  ['esp32-c61', 'ESP32-C61'],
  ['esp8266-wired-sensors', 'ESP8266'],
  ['lilygo-t-display-s3', undefined],
  ['esp32s9', undefined],
])('the chip of a model named %s is %s', (model, chip) => {
  expect(chipOfModelName(model)).toBe(chip);
});

test('a model named after a chip has that chip', () => {
  for (const name of CHIP_NAMES) expect(chipOfModelName(name.toLowerCase())).toBe(name);
});
