import { createHash, type Hash } from 'node:crypto';
import type { ByteReader } from './byte-reader.ts';
import { chipById } from './chips.ts';
import { crc32 } from './crc32.ts';
import { DESCRIPTOR_OFFSET, readDescriptor } from './descriptor.ts';
import { isPartitionEntry } from './foreign-files.ts';
import { hex, Refusal } from './verdicts.ts';

/** A partition table may lie at any sector below this; its offset is a build option (0x8000 by default). */
const TABLE_SEARCH_END = 0x20000;
const SECTOR = 0x1000;
const APP_ALIGNMENT = 0x10000;
/** Enough of a place to see an image header with its description. */
const SAMPLE_BYTES = 32 + 256;

export interface PartsOfFlash {
  readonly partitionTableAt: number | null;
  readonly app: {
    readonly offset: number;
    readonly chip: string;
    readonly project: string;
    readonly version: string;
  } | null;
}

/** Watches the file go by for what only a whole flash image has: a partition table, and an application behind it. */
export function watchForFlashParts(reader: ByteReader): () => PartsOfFlash {
  const samples = new Map<number, Buffer>();
  reader.observe((chunk, offset) => {
    const end = offset + chunk.length;
    const first = Math.ceil((offset - SAMPLE_BYTES) / SECTOR) * SECTOR;
    for (let at = Math.max(SECTOR, first); at < end; at += SECTOR) {
      if (at >= TABLE_SEARCH_END && at % APP_ALIGNMENT !== 0) continue;
      const sample = samples.get(at) ?? Buffer.alloc(0);
      if (sample.length >= SAMPLE_BYTES) continue;
      const from = Math.max(at + sample.length, offset) - offset;
      samples.set(at, Buffer.concat([sample, chunk.subarray(from, at + SAMPLE_BYTES - offset)]));
    }
  });
  return () => {
    const all = [...samples].sort(([a], [b]) => a - b);
    const table = all.find(([at, bytes]) => at < TABLE_SEARCH_END && isPartitionEntry(bytes));
    const app = all.filter(([at]) => at % APP_ALIGNMENT === 0).flatMap(([at, bytes]) => readApp(at, bytes) ?? [])[0];
    return { partitionTableAt: table?.[0] ?? null, app: app ?? null };
  };
}

function readApp(offset: number, bytes: Buffer): PartsOfFlash['app'] | undefined {
  if (bytes.length < 32 || bytes[0] !== 0xe9 || (bytes[1] ?? 0) < 1 || (bytes[1] ?? 0) > 16) return undefined;
  const chip = chipById(bytes.readUInt16LE(12));
  if (chip === undefined || (bytes[23] ?? 2) > 1) return undefined;
  const descriptor = readDescriptor(bytes.subarray(DESCRIPTOR_OFFSET));
  return { offset, chip: chip.name, project: descriptor?.projectName ?? '', version: descriptor?.version ?? '' };
}

/** What follows an image: nothing, padding, or a signature. */
export interface Trailing {
  readonly bytes: number;
  readonly kind: 'none' | 'padding' | 'secure-boot-v1' | 'secure-boot-v2' | 'unexplained';
  /** SHA-256 of the public key of each valid block of a v2 sector, as it would be burned into eFuse. */
  readonly keyDigests: readonly string[];
}

const V1_MAX_BYTES = 80;
const V1_BYTES = 68;
const BLOCK_BYTES = 1216;
const CRC_OFFSET = 1196;

/** Digests of the file so far, which signature blocks state. */
export interface RunningDigests {
  readonly sha256: Hash;
  readonly sha384: Hash;
}

/** Reads the file to its end and explains what follows the image. @throws Refusal for a damaged signature */
export async function readTrailing(reader: ByteReader, digests: RunningDigests): Promise<Trailing> {
  const imageEnd = reader.offset;
  const sectorAt = Math.ceil(imageEnd / SECTOR) * SECTOR;
  const head = Buffer.from(await reader.peek(V1_MAX_BYTES + 1));
  const uniform = await takeUniform(reader, sectorAt - imageEnd);
  // Either the sector of signatures, or whatever else: only that much is ever held.
  const sector = reader.offset === sectorAt ? Buffer.from(await reader.peek(SECTOR + 1)) : Buffer.alloc(0);
  const signed = sector.length === SECTOR && sector[0] === 0xe7 && (sector[1] === 2 || sector[1] === 3);
  const keyDigests = signed ? checkSignatureSector(sector) : [];
  if (signed) checkSignatureDigests(sector, digests.sha256.copy().digest(), digests.sha384.copy().digest());
  const rest = await takeUniform(reader, Number.MAX_SAFE_INTEGER);
  const bytes = reader.offset - imageEnd;
  const base = { bytes, keyDigests: [] };
  if (bytes === 0) return { ...base, kind: 'none' };
  if (signed) return { bytes, kind: 'secure-boot-v2', keyDigests };
  if (isUniform(uniform, rest)) return { ...base, kind: 'padding' };
  const isV1 =
    bytes >= V1_BYTES &&
    bytes <= V1_MAX_BYTES &&
    head.readUInt32LE(0) === 0 &&
    head.subarray(4, V1_BYTES).some(notBlank);
  return { ...base, kind: isV1 ? 'secure-boot-v1' : 'unexplained' };
}

const notBlank = (byte: number) => byte !== 0 && byte !== 0xff;

/** The byte that all are, `null` for none, `undefined` for several. */
async function takeUniform(reader: ByteReader, count: number): Promise<number | null | undefined> {
  let common: number | null | undefined = null;
  await reader.each(count, (chunk) => {
    if (common === null) common = chunk[0];
    if (common !== undefined && common !== null && chunk.some((byte) => byte !== common)) common = undefined;
  });
  return common;
}

function isUniform(a: number | null | undefined, b: number | null | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  const values = [a, b].filter((value) => value !== null);
  return values.every((value) => value === values[0] && (value === 0 || value === 0xff));
}

/**
 * Up to three blocks of 1,216 bytes (secure-boot-v2.rst): magic E7, RSA (version 2) or ECDSA (version 3), CRC-32 of what
 * is before it. @throws Refusal
 */
function checkSignatureSector(sector: Buffer): string[] {
  const digests: string[] = [];
  for (let index = 0; index < 3; index++) {
    const block = sector.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
    if (block[0] !== 0xe7) break;
    const stored = block.readUInt32LE(CRC_OFFSET);
    const calculated = crc32(block.subarray(0, CRC_OFFSET));
    if (stored !== calculated) {
      throw new Refusal(
        'SIGNATURE_CRC',
        `signature block ${index} has CRC ${hex(stored)}, calculated ${hex(calculated)}: the signature is damaged`,
      );
    }
    digests.push(createHash('sha256').update(publicKeyOf(block)).digest('hex'));
  }
  return digests;
}

/** The bytes whose digest identifies the key: 36–811 for RSA, 36–100 for P-192 and P-256, 52–148 for P-384. */
function publicKeyOf(block: Buffer): Buffer {
  if (block[1] === 2) return block.subarray(36, 812);
  return block[2] === 1 ? block.subarray(52, 149) : block.subarray(36, 101);
}

/** Blocks state the digest of the file before their sector. @throws Refusal where one states another */
function checkSignatureDigests(sector: Buffer, sha256: Buffer, sha384: Buffer): void {
  for (let index = 0; index < 3; index++) {
    const block = sector.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
    if (block[0] !== 0xe7) return;
    const expected = block[1] === 3 && block[2] === 1 ? sha384 : sha256;
    if (!block.subarray(4, 4 + expected.length).equals(expected)) {
      throw new Refusal('SIGNATURE_DIGEST', `signature block ${index} was made for another image`);
    }
  }
}
