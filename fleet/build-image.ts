import { createHash, hash, type KeyObject } from 'node:crypto';
import { signImage } from './sign-image.ts';

export interface ImageOptions {
  /** The chip of the image's header: `ESP32`, `ESP32-S3`, `ESP8266` … @default ESP32-S3 */
  readonly chip?: string;
  readonly version?: string;
  readonly project?: string;
  /** Number of bytes of code. Version and project determine the bytes. @default 64 KiB */
  readonly codeBytes?: number;
  /** The code itself, in place of meaningless bytes. */
  readonly code?: Buffer;
  /** Adds the application descriptor. @default true */
  readonly descriptor?: boolean;
  /** Appends a SHA-256; for an ESP8266 only in the layout `rtos`. @default true */
  readonly hash?: boolean;
  /** Layout of an ESP8266 file: Arduino's with a bootloader and a CRC, or the RTOS SDK's. @default arduino */
  readonly esp8266?: 'arduino' | 'rtos';
  /** Private keys for signatures of secure boot v2: RSA-3072, P-192, P-256 or P-384. @default none */
  readonly signWith?: readonly KeyObject[];
  /** Appends a block with the format of a secure boot v1 signature. The signature is not valid. */
  readonly secureBootV1?: boolean;
  /** The anti-rollback counter. @default 0 */
  readonly secureVersion?: number;
}

/** The chip id of the header, and the addresses of constants and code, by chip. */
const TARGETS: Readonly<Record<string, { readonly id: number; readonly drom: number; readonly irom: number }>> = {
  ESP32: { id: 0, drom: 0x3f400000, irom: 0x400d0000 },
  'ESP32-S2': { id: 2, drom: 0x3f000000, irom: 0x40080000 },
  'ESP32-C3': { id: 5, drom: 0x3c000000, irom: 0x42000000 },
  'ESP32-S3': { id: 9, drom: 0x3c000000, irom: 0x42000000 },
  'ESP32-C2': { id: 12, drom: 0x3c000000, irom: 0x42000000 },
  'ESP32-C6': { id: 13, drom: 0x42000000, irom: 0x42100000 },
  'ESP32-H2': { id: 16, drom: 0x42000000, irom: 0x42100000 },
  'ESP32-P4': { id: 18, drom: 0x40000000, irom: 0x40100000 },
  'ESP32-C61': { id: 20, drom: 0x42000000, irom: 0x42100000 },
  'ESP32-C5': { id: 23, drom: 0x42000000, irom: 0x42100000 },
  'ESP32-H21': { id: 25, drom: 0x42000000, irom: 0x42100000 },
  'ESP32-H4': { id: 28, drom: 0x42000000, irom: 0x42100000 },
  'ESP32-E22': { id: 31, drom: 0x3c000000, irom: 0x3c100000 },
  'ESP32-S31': { id: 32, drom: 0x40000000, irom: 0x40100000 },
};

const HEADER_BYTES = 24;
const PAGE = 0x10000;

/**
 * Builds a valid application image with meaningless code and the descriptor of ESP-IDF. Different versions have different
 * bytes, and the same options always give the same bytes.
 */
export function buildImage(options: ImageOptions = {}): Buffer {
  const { chip = 'ESP32-S3', version = '1.0.0', project = 'paku-core', codeBytes = 64 * 1024 } = options;
  const code = options.code ? wholeWords(options.code) : pseudoRandomBytes(`${chip} ${project} ${version}`, codeBytes);
  if (chip === 'ESP8266') return buildEsp8266(code, options);
  const target = TARGETS[chip];
  if (target === undefined) throw new Error(`There is no chip ${chip}; there are ${Object.keys(TARGETS).join(', ')}.`);
  const rodata =
    options.descriptor === false
      ? pseudoRandomBytes('rodata', 512)
      : Buffer.concat([describe(version, project, options.secureVersion), pseudoRandomBytes('rodata', 256)]);
  const codeOffset = HEADER_BYTES + 8 + rodata.length + 8;
  const image = finishImage(header(target.id, 2, options.hash !== false), [
    { address: target.drom + ((HEADER_BYTES + 8) % PAGE), data: rodata },
    { address: target.irom + (codeOffset % PAGE), data: code },
  ]);
  const whole = options.hash === false ? image : withHash(image);
  if (options.secureBootV1) return Buffer.concat([whole, Buffer.alloc(4), pseudoRandomBytes('signature', 64)]);
  return options.signWith === undefined ? whole : signImage(whole, options.signWith);
}

const withHash = (image: Buffer): Buffer => Buffer.concat([image, createHash('sha256').update(image).digest()]);

interface Segment {
  readonly address: number;
  readonly data: Buffer;
}

function header(chipId: number, segments: number, hash: boolean): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt8(0xe9, 0);
  bytes.writeUInt8(segments, 1);
  bytes.writeUInt8(2, 2);
  bytes.writeUInt8(0x30, 3);
  bytes.writeUInt32LE(0x40080000, 4);
  bytes.writeUInt8(0xee, 8);
  bytes.writeUInt16LE(chipId, 12);
  bytes.writeUInt16LE(0xffff, 17);
  bytes.writeUInt8(hash ? 1 : 0, 23);
  return bytes;
}

const EBOOT_BYTES = 0x1000;
/** Offset of the length and CRC that the Arduino core's elf2bin.py writes over the first bytes of the code. */
const STAMP_AT = EBOOT_BYTES + 16;

function buildEsp8266(code: Buffer, { esp8266 = 'arduino', hash }: ImageOptions): Buffer {
  if (esp8266 === 'rtos') {
    const image = finishImage(shortHeader(0x40210010), [{ address: 0x40210010, data: code }]);
    return hash === false ? image : withHash(image);
  }
  const eboot = Buffer.alloc(EBOOT_BYTES, 0xaa);
  finishImage(shortHeader(0x4010f29c), [{ address: 0x4010f000, data: pseudoRandomBytes('eboot', 1_264) }]).copy(eboot);
  code.fill(0, 0, 8);
  const file = Buffer.concat([eboot, finishImage(shortHeader(0x40201010), [{ address: 0x40201010, data: code }])]);
  const crc = crc32Mpeg2(file);
  file.writeUInt32LE(file.length, STAMP_AT);
  file.writeUInt32LE(crc, STAMP_AT + 4);
  return file;
}

/** CRC-32/MPEG-2: most significant bit first, without a final inversion. */
function crc32Mpeg2(bytes: Buffer): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  }
  return crc >>> 0;
}

/** The header of an ESP8266 image: the first third of the header of other chips. */
function shortHeader(entry: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.set([0xe9, 1, 2, 0x40]);
  bytes.writeUInt32LE(entry, 4);
  return bytes;
}

/** Header and segments, padded so that the checksum is the last byte of a block of 16. */
function finishImage(start: Buffer, segments: readonly Segment[]): Buffer {
  const parts = [start];
  let checksum = 0xef;
  for (const { address, data } of segments) {
    const segmentHeader = Buffer.alloc(8);
    segmentHeader.writeUInt32LE(address, 0);
    segmentHeader.writeUInt32LE(data.length, 4);
    for (let at = 0; at < data.length; at++) checksum ^= data[at] ?? 0;
    parts.push(segmentHeader, data);
  }
  const body = Buffer.concat(parts);
  const padding = Buffer.alloc(16 - (body.length % 16));
  padding.writeUInt8(checksum, padding.length - 1);
  return Buffer.concat([body, padding]);
}

/** The application descriptor, `esp_app_desc_t`. */
function describe(version: string, project: string, secureVersion = 0): Buffer {
  const bytes = Buffer.alloc(256);
  bytes.writeUInt32LE(0xabcd5432, 0);
  bytes.writeUInt32LE(secureVersion, 4);
  bytes.write(version.slice(0, 31), 16, 'latin1');
  bytes.write(project.slice(0, 31), 48, 'latin1');
  bytes.write('12:00:00', 80);
  bytes.write('Jan  1 2026', 96);
  bytes.write('v5.5.1', 112);
  createHash('sha256').update(`${project} ${version}`).digest().copy(bytes, 144);
  return bytes;
}

/** Zeros up to a multiple of 4, which segments require. */
const wholeWords = (code: Buffer): Buffer => Buffer.concat([code, Buffer.alloc((4 - (code.length % 4)) % 4)]);

/** Pseudo-random bytes. The length is rounded to a multiple of 4, which segments require. */
function pseudoRandomBytes(seed: string, length: number): Buffer {
  const whole = Math.ceil(length / 4) * 4;
  const bytes = Buffer.alloc(Math.ceil(whole / 32) * 32);
  for (let i = 0; i * 32 < whole; i++) hash('sha256', `${seed}/${i}`, 'buffer').copy(bytes, i * 32);
  return bytes.subarray(0, whole);
}
