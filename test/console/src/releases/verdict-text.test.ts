import { describe, expect, test } from 'vitest';
import { splitAdvice, verdictName } from '../../../../console/src/releases/verdict-text.ts';
import { UPLOAD_APP_BINARY, VERDICTS } from '../../../../core/image/index.ts';

describe('a verdict', () => {
  test('is written with the capitals of proper names', () => {
    expect(['ELF', 'UF2', 'NOT_ESP_IMAGE', 'WRONG_CHIP'].map(verdictName)).toEqual([
      'ELF file',
      'UF2 file',
      'Not an ESP image',
      'Wrong chip',
    ]);
    const wrong = VERDICTS.map(verdictName).filter((name) =>
      /elf\b|uf2|esp\b|esp8266|json|nvs|crc|\bid\b|littlefs/.test(name),
    );
    expect(wrong).toEqual([]);
  });

  test.each([
    [`this is a partition table; ${UPLOAD_APP_BINARY}`, 'this is a partition table'],
    [`this is gzip-compressed; unpack it and ${UPLOAD_APP_BINARY}`, 'this is gzip-compressed; unpack it'],
    [
      `the file is 9 bytes, at most 8 are possible; ${UPLOAD_APP_BINARY}, not an image of the whole flash`,
      'the file is 9 bytes, at most 8 are possible',
    ],
  ])('%s: is split into the reason and the advice', (message, reason) => {
    expect(splitAdvice(message)).toEqual({ reason, advice: UPLOAD_APP_BINARY });
  });

  test('without an advice is not split', () => {
    const message = 'the image is for ESP32-C3, model esp32-s3 has ESP32-S3';
    expect(splitAdvice(message)).toEqual({ reason: message, advice: undefined });
  });
});
