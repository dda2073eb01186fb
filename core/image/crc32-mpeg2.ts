const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte << 24;
  for (let bit = 0; bit < 8; bit++) value = value < 0 ? (value << 1) ^ 0x04c11db7 : value << 1;
  return value;
});

/** The CRC of no bytes. */
export const CRC32_MPEG2_START = 0xffffffff;

/**
 * CRC-32/MPEG-2: the polynomial of zlib's CRC-32, but most significant bit first and without a final inversion, so zlib
 * cannot calculate it. The ESP8266's Arduino core writes it into its images (tools/elf2bin.py, crc8266).
 * @param crc of the preceding bytes
 * @returns an unsigned 32-bit number
 */
export function crc32Mpeg2(bytes: Uint8Array, crc: number): number {
  let value = crc;
  for (const byte of bytes) value = (value << 8) ^ (TABLE[((value >>> 24) ^ byte) & 0xff] as number);
  return value >>> 0;
}
