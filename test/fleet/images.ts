import { createHash } from 'node:crypto';

/** The parts of an image that a device checks: magic byte, chip id, and different bytes. */
export function makeImage(chipId: number, bytes = 4096, magic = 0xe9): Buffer {
  const image = Buffer.alloc(bytes, 0x5a);
  image.writeUInt8(magic, 0);
  image.writeUInt16LE(chipId, 12);
  return image;
}

/** Chip id of an ESP32-S3. */
export const S3 = 9;

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
