import type { ByteReader } from './byte-reader.ts';
import type { Warning } from './parsed-image.ts';
import { SECTOR_BYTES } from './signature-blocks.ts';
import type { SignedBytes } from './signed-bytes.ts';
import { hex, ImageRejection } from './verdicts.ts';

/** The bytes after an image. */
export interface Trailing {
  readonly offset: number;
  readonly bytes: number;
  /** The first of them; longer than a secure boot v1 signature. */
  readonly head: Buffer;
  /** True if all are FF or all are 00. */
  readonly blank: boolean;
  /**
   * The last sector of the file, where a secure boot v2 signature would be; undefined if the length does not allow one.
   */
  readonly sector: Buffer | undefined;
}

const V1_BYTES = 68;
const V1_MAX_BYTES = 80;

/**
 * Reads the file to its end. Keeps one sector of the bytes after the image, however many there are.
 * @param signed is closed where that sector would start
 */
export async function readTrailing(reader: ByteReader, signed?: SignedBytes): Promise<Trailing> {
  const offset = reader.offset;
  const head = await reader.peek(V1_MAX_BYTES + 1);
  const fill = head[0];
  let blank = fill === 0 || fill === 0xff;
  const pass = (chunk: Buffer) => {
    blank &&= chunk.every((byte) => byte === fill);
  };
  await reader.each(Math.ceil(offset / SECTOR_BYTES) * SECTOR_BYTES - offset, pass);
  const sector = await reader.peek(SECTOR_BYTES + 1);
  signed?.close();
  await reader.each(Number.POSITIVE_INFINITY, pass);
  return {
    offset,
    bytes: reader.offset - offset,
    head,
    blank,
    sector: sector.length === SECTOR_BYTES ? sector : undefined,
  };
}

/**
 * Secure boot v1: a zero version, then 64 bytes of signature, then up to 12 arbitrary bytes to a 64 KiB boundary
 * (ESP-IDF, secure-boot-v1.rst and esp_secure_boot_sig_block_t).
 */
export function isV1Signature({ bytes, head }: Trailing): boolean {
  if (bytes < V1_BYTES || bytes > V1_MAX_BYTES || head.readUInt32LE(0) !== 0) return false;
  return head.subarray(4, V1_BYTES).some((byte) => byte !== 0 && byte !== 0xff);
}

/** @throws ImageRejection if they are neither padding nor a signature */
export function refuseTrailing({ bytes, blank, offset }: Trailing): void {
  if (bytes === 0 || blank) return;
  throw new ImageRejection(
    'TRAILING_DATA',
    `${bytes} unexplained bytes follow the image's end at ${hex(offset)}: neither padding nor a signature; upload the .bin as the build made it`,
  );
}

export function trailingWarnings({ bytes, blank }: Trailing): Warning[] {
  if (bytes === 0 || !blank) return [];
  return [{ code: 'TRAILING_PADDING', message: `${bytes} blank bytes follow the image and are served with it` }];
}
