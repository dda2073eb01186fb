import { createHash } from 'node:crypto';

/** An image as far as a device looks at it: magic, chip id, and bytes that differ. */
export function makeImage(chipId: number, bytes = 4096, magic = 0xe9): Buffer {
  const image = Buffer.alloc(bytes, 0x5a);
  image.writeUInt8(magic, 0);
  image.writeUInt16LE(chipId, 12);
  return image;
}

/** The chip id in the header of an ESP32-S3's image. */
export const S3 = 9;

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
