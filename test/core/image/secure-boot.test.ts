import { createHash, type KeyObject } from 'node:crypto';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inspectImage } from '../../../core/image/inspect-image.ts';
import { evaluateSignature, type SignatureFinding, signingSchema } from '../../../core/release-policy/index.ts';
import { buildImage } from '../../../fleet/build-image.ts';
import { signingKeys } from '../../support/signing-keys.ts';

const SECTOR = 4_096;
const BLOCK = 1_216;
const CRC_AT = 1_196;

const { rsa, p192, p256, otherP256, p384 } = signingKeys();
const SCHEMES: [name: string, key: KeyObject, keyBytes: [from: number, to: number], digest: string][] = [
  ['RSA-3072', rsa.privateKey, [36, 812], 'sha256'],
  ['ECDSA-P192', p192.privateKey, [36, 101], 'sha256'],
  ['ECDSA-P256', p256.privateKey, [36, 101], 'sha256'],
  ['ECDSA-P384', p384.privateKey, [52, 149], 'sha384'],
];

const signedBy = (...signWith: KeyObject[]) => buildImage({ codeBytes: 600, signWith });
const image = buildImage({ codeBytes: 600 });
const sectorOf = (file: Buffer) => file.length - SECTOR;
const block = (file: Buffer, index = 0) =>
  file.subarray(sectorOf(file) + index * BLOCK, sectorOf(file) + (index + 1) * BLOCK);
const keyDigest = (file: Buffer, [from, to]: readonly [number, number], index = 0) =>
  createHash('sha256').update(block(file, index).subarray(from, to)).digest('hex');
const P256_KEY = [36, 101] as const;

async function* chunksOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += SECTOR) yield bytes.subarray(at, at + SECTOR);
}
const inspect = (bytes: Buffer) => inspectImage(chunksOf(bytes), { sizeBytes: bytes.length });

function recrc(bytes: Buffer): void {
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CRC_AT)), CRC_AT);
}

/** A copy with its first block changed and the block's CRC corrected unless the flag is false. */
function changed(file: Buffer, change: (bytes: Buffer) => void, isCrcRight = true): Buffer {
  const copy = Buffer.from(file);
  change(block(copy));
  if (isCrcRight) recrc(block(copy));
  return copy;
}
const flip = (at: number) => (bytes: Buffer) => bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);

/** Evaluates the signature of a file for a model that trusts these keys; undefined if the file is not a valid image. */
async function evaluate(file: Buffer, trustedKeyDigests: readonly string[]): Promise<SignatureFinding | undefined> {
  const { verdict, image: parsed, sha256 } = await inspect(file);
  const signing = signingSchema.parse({ trustedKeyDigests, requireSignedFirmware: true });
  if (verdict !== 'ACCEPT' || parsed === null || sha256 === null) return undefined;
  const version = parsed.descriptor?.version ?? '';
  const release = { deviceModel: 'van', version, sizeBytes: file.length, sha256, minVersion: null };
  return evaluateSignature({ ...release, image: parsed, project: undefined }, 'none', signing, new Date(0));
}

describe.each(SCHEMES)('a secure boot v2 signature with %s', (scheme, key, keyBytes, digest) => {
  const file = signedBy(key);

  test('is verified and gives the digest of its key as eFuse holds it', async () => {
    const { verdict, image: parsed } = await inspect(file);
    expect(verdict).toBe('ACCEPT');
    expect(parsed?.signatureBlocks).toEqual([{ scheme, keyDigest: keyDigest(file, keyBytes) }]);
  });

  test('is refused if any of its bytes is changed', async () => {
    // Every byte of the block, and some of the rest of the sector.
    for (let at = 0; at < SECTOR; at += at < BLOCK ? 1 : 97) {
      const bytes = Buffer.from(file);
      flip(sectorOf(file) + at)(bytes);
      // Without its magic, the sector is not a signature sector.
      expect((await inspect(bytes)).verdict, `byte ${at}`).toBe(at === 0 ? 'TRAILING_DATA' : 'SIGNATURE_CRC');
    }
  });

  test('is refused if it is damaged and its CRC was recalculated', async () => {
    const verdicts = new Map<string, number>();
    for (let at = 1; at < CRC_AT; at++) {
      const { verdict } = await inspect(changed(file, flip(at)));
      verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
    }
    expect([...verdicts.keys()].sort()).toEqual(['SIGNATURE_CRC', 'SIGNATURE_DIGEST', 'SIGNATURE_INVALID']);
    expect(verdicts.get('SIGNATURE_DIGEST')).toBe(digest === 'sha384' ? 48 : 32);
  });

  test('is valid only for its own bytes', async () => {
    const other = signedBy(key);
    flip(100)(other);
    const body = other.subarray(0, image.length);
    const checksumAt = image.length - 33;
    body.writeUInt8(body.readUInt8(checksumAt) ^ 0x10, checksumAt);
    createHash('sha256')
      .update(body.subarray(0, -32))
      .digest()
      .copy(body, body.length - 32);
    expect((await inspect(other)).verdict).toBe('SIGNATURE_DIGEST');
    const redigested = changed(other, (bytes) => {
      createHash(digest)
        .update(other.subarray(0, sectorOf(other)))
        .digest()
        .copy(bytes, 4);
    });
    expect(await inspect(redigested)).toMatchObject({
      verdict: 'SIGNATURE_INVALID',
      message: expect.stringContaining(keyDigest(file, keyBytes)),
    });
  });

  test('that was truncated counts as unexplained data', async () => {
    for (const missing of [1, SECTOR - BLOCK, SECTOR - BLOCK + 1, SECTOR - 100, SECTOR - 1])
      expect((await inspect(file.subarray(0, -missing))).verdict).toBe('TRAILING_DATA');
  });

  test('counts as signed only if its key is trusted', async () => {
    const trusted = keyDigest(file, keyBytes);
    expect(await evaluate(file, [trusted])).toMatchObject({
      signature: { signedBy: { kind: 'secure-boot-v2', scheme, keyDigest: trusted }, expiresAt: null },
      warnings: [],
      refusal: undefined,
    });
    const other = 'ab'.repeat(32);
    const message = `the image is signed by ${scheme} key ${trusted}; trusted are secure boot keys ${other}`;
    expect(await evaluate(file, [other])).toMatchObject({
      signature: null,
      warnings: [{ code: 'UNTRUSTED_SIGNATURE', message }],
      refusal: { verdict: 'UNTRUSTED_SIGNATURE', message: expect.stringContaining(message) },
    });
  });
});

test('a signature by another key than the one in its block is invalid', async () => {
  const file = signedBy(p256.privateKey);
  const other = block(signedBy(otherP256.privateKey));
  const swapped = changed(file, (bytes) => other.copy(bytes, 36, 36, 101));
  expect((await inspect(swapped)).verdict).toBe('SIGNATURE_INVALID');
});

test.each([
  ['an invalid curve', [36, 7]],
  ['an invalid digest', [2, 2]],
  ['an unknown version', [1, 4]],
] as const)('a block with %s has an unknown scheme', async (_, [at, value]) => {
  const file = changed(signedBy(p256.privateKey), (bytes) => bytes.writeUInt8(value, at));
  expect(await inspect(file)).toMatchObject({
    verdict: 'SIGNATURE_CRC',
    message: expect.stringContaining('unknown scheme'),
  });
});

test('bytes that are not a key give an invalid signature instead of a crash', async () => {
  for (const key of [rsa, p256, p384]) {
    const file = signedBy(key.privateKey);
    for (const fill of [0, 0xff]) {
      const bytes = changed(file, (b) =>
        b.fill(fill, key === rsa ? 36 : key === p384 ? 53 : 37, key === rsa ? 812 : 100),
      );
      expect((await inspect(bytes)).verdict).toBe('SIGNATURE_INVALID');
    }
  }
});

describe('several blocks', () => {
  const file = signedBy(otherP256.privateKey, rsa.privateKey, p384.privateKey);

  test('are each verified; a trusted one counts at any position', async () => {
    const digests = [keyDigest(file, P256_KEY), keyDigest(file, [36, 812], 1), keyDigest(file, [52, 149], 2)];
    expect((await inspect(file)).image?.signatureBlocks.map((found) => found.keyDigest)).toEqual(digests);
    for (const digest of digests) expect((await evaluate(file, [digest]))?.signature?.signedBy.keyDigest).toBe(digest);
    expect((await evaluate(file, ['00'.repeat(32)]))?.signature).toBeNull();
  });

  test('are refused if one is damaged, even if another one is trusted', async () => {
    const bytes = Buffer.from(file);
    flip(900)(block(bytes, 1));
    expect(await inspect(bytes)).toMatchObject({
      verdict: 'SIGNATURE_CRC',
      message: expect.stringContaining('signature block 1'),
    });
    recrc(block(bytes, 1));
    expect((await inspect(bytes)).verdict).toBe('SIGNATURE_INVALID');
  });

  test('of the same scheme are verified separately', async () => {
    const same = signedBy(p256.privateKey, otherP256.privateKey, p256.privateKey);
    expect((await inspect(same)).image?.signatureBlocks).toHaveLength(3);
  });
});

test('an image signed with a trusted key never counts as signed after any change', async () => {
  const files = SCHEMES.map(([, key, keyBytes]) => {
    const file = signedBy(key);
    return { file, trusted: keyDigest(file, keyBytes) };
  });
  const edit = fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 }));
  const repairs = fc.record({ hash: fc.boolean(), digest: fc.boolean(), crc: fc.boolean() });
  const place = fc.constantFrom('anywhere', 'in the block');
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...files),
      place,
      fc.array(edit, { minLength: 1, maxLength: 4 }),
      repairs,
      async ({ file, trusted }, where, edits, repair) => {
        const bytes = Buffer.from(file);
        const start = where === 'anywhere' ? 0 : sectorOf(file);
        for (const [at, mask] of edits) {
          const position = start + (at % (where === 'anywhere' ? file.length : BLOCK));
          bytes.writeUInt8(bytes.readUInt8(position) ^ mask, position);
        }
        if (repair.hash)
          createHash('sha256')
            .update(bytes.subarray(0, image.length - 32))
            .digest()
            .copy(bytes, image.length - 32);
        if (repair.digest) {
          const digest = bytes[sectorOf(file) + 2] === 1 ? 'sha384' : 'sha256';
          createHash(digest)
            .update(bytes.subarray(0, sectorOf(file)))
            .digest()
            .copy(block(bytes), 4);
        }
        if (repair.crc) recrc(block(bytes));
        if (bytes.equals(file)) return;
        expect((await evaluate(bytes, [trusted]))?.signature ?? null).toBeNull();
      },
    ),
    { numRuns: 3_000 },
  );
});
