import type { ByteReader } from './byte-reader.ts';
import { readBody } from './image-body.ts';
import { hex, Refusal } from './verdicts.ts';

/** Where the ESP8266 loads segments to: RAM, IRAM (eboot at 4010F000 included) and mapped flash. */
const LOAD_WINDOWS = [
  [0x3ffe8000, 0x40000000],
  [0x40100000, 0x40110000],
  [0x40200000, 0x40300000],
] as const;

const HEADER_BYTES = 8;
/** Arduino files hold eboot first, padded with FF or AA, and the application here. */
const ARDUINO_APP_AT = 0x1000;

export const isEsp8266LoadAddress = (address: number): boolean =>
  LOAD_WINDOWS.some(([start, end]) => address >= start && address < end);

export interface Esp8266Image {
  readonly segmentCount: number;
  readonly imageBytes: number;
  readonly arduino: boolean;
}

/**
 * Reads an ESP8266 image: an 8-byte header, segments, a checksum; in Arduino files twice, the boot loader and then the
 * application. Bytes that follow (a SHA-256 of the RTOS SDK, padding) are not interpreted.
 * @throws Refusal
 */
export async function readEsp8266(reader: ByteReader, sizeBytes: number): Promise<Esp8266Image> {
  const first = await readImage(reader, sizeBytes);
  if (first.checksumEnd < ARDUINO_APP_AT && sizeBytes > ARDUINO_APP_AT) {
    await reader.each(ARDUINO_APP_AT - first.checksumEnd, () => {});
    if ((await reader.peek(1))[0] === 0xe9) {
      const app = await readImage(reader, sizeBytes);
      return { segmentCount: app.segments.length, imageBytes: app.checksumEnd, arduino: true };
    }
  }
  const inRamOnly = first.segments.every(({ loadAddress }) => loadAddress < 0x40200000);
  if (inRamOnly) {
    throw new Refusal(
      'NO_FLASH_SEGMENTS',
      'no segment lies in mapped flash: this is a boot loader or a RAM-only build',
    );
  }
  return { segmentCount: first.segments.length, imageBytes: first.checksumEnd, arduino: false };
}

async function readImage(reader: ByteReader, sizeBytes: number) {
  const header = await reader.take(HEADER_BYTES);
  if (header.length < HEADER_BYTES)
    throw new Refusal('TRUNCATED_HEADER', `${header.length} bytes, the header needs ${HEADER_BYTES}`);
  const count = header[1] ?? 0;
  if (count < 1 || count > 16)
    throw new Refusal('BAD_SEGMENT_COUNT', `the header declares ${count} segments, 1 to 16 are possible`);
  return readBody(reader, count, sizeBytes);
}

export const refuseEsp8266 = (address: number): Refusal =>
  new Refusal(
    'ESP8266_V1',
    `this is an ESP8266 image (first segment load ${hex(address)} at offset 8), the model has an ESP32`,
  );
