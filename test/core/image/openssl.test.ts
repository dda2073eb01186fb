import { execFileSync, spawnSync } from 'node:child_process';
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { inspectImage } from '../../../core/image/inspect-image.ts';
import { parsePublicKey } from '../../../core/image/public-keys.ts';
import {
  formatManifest,
  parseSignatureFile,
  type ReleaseManifest,
  signerOf,
  signManifest,
} from '../../../core/image/release-manifest.ts';
import { buildImage } from '../../../fleet/build-image.ts';
import { signImage } from '../../../fleet/sign-image.ts';

const SECTOR = 4_096;
const folder = mkdtempSync(join(tmpdir(), 'paku-ota-openssl-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sh = (command: string) => execFileSync('sh', ['-c', command], { cwd: folder, stdio: 'pipe' });
const read = (name: string) => readFileSync(join(folder, name));
const write = (name: string, bytes: Uint8Array) => writeFileSync(join(folder, name), bytes);
const inspect = (bytes: Buffer) => inspectImage(once(bytes), { sizeBytes: bytes.length });

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** The two numbers of an ECDSA signature in DER, each with the bytes of the curve, little-endian. */
function numbersOf(der: Buffer, bytes: number): Buffer {
  const first = der.subarray(4, 4 + der.readUInt8(3));
  const second = der.subarray(6 + first.length);
  return Buffer.concat(
    [first, second].map((number) => {
      const padded = Buffer.concat([Buffer.alloc(bytes), number]);
      return Buffer.from(padded.subarray(-bytes)).reverse();
    }),
  );
}

const pss = '-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32';
const schemes = [
  { scheme: 'RSA-3072', options: pss, at: 812, bytes: 384 },
  { scheme: 'ECDSA-P192', curve: 'prime192v1', options: '', at: 101, bytes: 24 },
  { scheme: 'ECDSA-P256', curve: 'prime256v1', options: '', at: 101, bytes: 32 },
  { scheme: 'ECDSA-P384', curve: 'secp384r1', digest: 'sha384', options: '', at: 149, bytes: 48 },
];

describe.skipIf(spawnSync('openssl', ['version']).status !== 0)('openssl', () => {
  test.each(schemes)('makes secure boot signatures with $scheme that are verified', async (options) => {
    const { scheme, curve, digest = 'sha256', at, bytes } = options;
    sh(
      curve === undefined
        ? 'openssl genrsa -out key.pem 3072'
        : `openssl ecparam -genkey -noout -name ${curve} -out key.pem`,
    );
    const key: KeyObject = createPrivateKey(read('key.pem'));
    const signed = signImage(buildImage({ codeBytes: 600 }), [key]);
    const at0 = signed.length - SECTOR;
    write('covered.bin', signed.subarray(0, at0));
    sh(`openssl dgst -${digest} ${options.options} -sign key.pem -out signature covered.bin`);
    const signature = curve === undefined ? read('signature').reverse() : numbersOf(read('signature'), bytes);
    expect(signed.subarray(at0 + at, at0 + at + signature.length)).not.toEqual(signature);
    signature.copy(signed, at0 + at);
    signed.writeUInt32LE(crc32(signed.subarray(at0, at0 + 1_196)), at0 + 1_196);
    const { verdict, image } = await inspect(signed);
    expect([verdict, image?.signatureBlocks[0]?.scheme]).toEqual(['ACCEPT', scheme]);
  });

  test('calculates the same modulus, R and M′ of an RSA key as the block contains', () => {
    sh('openssl genrsa -out key.pem 3072 && openssl rsa -in key.pem -noout -modulus > modulus');
    const n = BigInt(`0x${read('modulus').toString().trim().replace('Modulus=', '')}`);
    const block = signImage(buildImage({ codeBytes: 600 }), [createPrivateKey(read('key.pem'))]).subarray(-SECTOR);
    const number = (from: number, to: number) =>
      BigInt(`0x${Buffer.from(block.subarray(from, to)).reverse().toString('hex')}`);
    expect(number(36, 420)).toBe(n);
    expect(number(424, 808)).toBe(2n ** 6144n % n);
    expect((number(808, 812) * n) % 2n ** 32n).toBe(2n ** 32n - 1n);
  });

  const RECIPES = [
    [
      'ECDSA P-256',
      'openssl ecparam -genkey -noout -name prime256v1 -out release-key.pem',
      'openssl dgst -sha256 -sign release-key.pem -out signature manifest',
      'openssl dgst -sha256 -verify release-key.pub.pem -signature signature manifest',
    ],
    [
      'Ed25519',
      'openssl genpkey -algorithm ed25519 -out release-key.pem',
      'openssl pkeyutl -sign -rawin -inkey release-key.pem -in manifest -out signature',
      'openssl pkeyutl -verify -rawin -pubin -inkey release-key.pub.pem -in manifest -sigfile signature',
    ],
  ] as const;
  const JOIN = '(cat manifest; echo; openssl base64 -A -in signature; echo) > firmware.bin.sig';
  const SPLIT = `head -n 1 firmware.bin.sig | tr -d '\\n' > manifest
tail -n 1 firmware.bin.sig | openssl base64 -d -A > signature`;
  const manifest: ReleaseManifest = {
    model: 'esp32-s3',
    version: '1.2.0',
    sha256: 'ab'.repeat(32),
    size: 601_234,
    secureVersion: 0,
    minVersion: '1.0.0',
    expires: null,
  };
  const documented = readFileSync(new URL('../../../docs/signing.md', import.meta.url), 'utf8');
  const makePublic = 'openssl pkey -in release-key.pem -pubout -out release-key.pub.pem';

  test.each(RECIPES)('signs a manifest with %s as described in docs/signing.md', (_, makeKey, signIt) => {
    sh(`${makeKey}\n${makePublic}`);
    write('manifest', Buffer.from(formatManifest(manifest)));
    sh(`${signIt}\n${JOIN}`);
    const trusted = read('release-key.pub.pem').toString();
    const file = parseSignatureFile(read('firmware.bin.sig'));
    expect(file?.manifest).toEqual(manifest);
    expect(file && signerOf(file, [trusted])?.digest).toBe(parsePublicKey(trusted).digest);
    const name = sh('openssl pkey -pubin -in release-key.pub.pem -outform DER | openssl dgst -sha256 -r').toString();
    expect(name.slice(0, 64)).toBe(parsePublicKey(trusted).digest);
    for (const line of [makeKey, makePublic, signIt, JOIN]) expect(documented).toContain(line);
  });

  test.each(RECIPES)(
    'verifies a signature file with %s as described in docs/signing.md',
    (_, makeKey, __, verifyIt) => {
      sh(`${makeKey}\n${makePublic}`);
      write('firmware.bin.sig', Buffer.from(signManifest(manifest, createPrivateKey(read('release-key.pem')))));
      sh(`${SPLIT}\n${verifyIt}`);
      write('manifest', Buffer.from(formatManifest({ ...manifest, version: '9.9.9' })));
      expect(() => sh(verifyIt)).toThrow();
      for (const line of [...SPLIT.split('\n'), verifyIt]) expect(documented).toContain(line);
    },
  );
});
