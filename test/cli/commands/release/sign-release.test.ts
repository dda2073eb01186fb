import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { makeProgram } from '../../../../cli/program.ts';
import { parseSignatureFile, signerOf } from '../../../../core/image/index.ts';
import { buildImage } from '../../../../fleet/build-image.ts';
import { signingKeys } from '../../../support/signing-keys.ts';

const keys = signingKeys();
const folder = mkdtempSync(join(tmpdir(), 'paku-ota-sign-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);
const publicPem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();
const write = (name: string, content: string | Uint8Array) => {
  writeFileSync(at(name), content);
  return at(name);
};

const image = write('firmware.bin', buildImage({ version: '1.2.0', secureVersion: 3, codeBytes: 600 }));
const p256 = write('p256.pem', keys.p256.privateKey.export({ type: 'pkcs8', format: 'pem' }));
const ed25519 = write('ed25519.pem', keys.ed25519.privateKey.export({ type: 'pkcs8', format: 'pem' }));

/** @returns what the command printed */
async function sign(...args: string[]): Promise<string> {
  const printed = vi.spyOn(console, 'log').mockImplementation(() => {});
  try {
    await makeProgram().parseAsync(['node', 'paku-ota', 'release', 'sign', ...args]);
    return printed.mock.calls.flat().join('\n');
  } finally {
    printed.mockRestore();
  }
}

test.each([
  ['P-256', p256, keys.p256.publicKey],
  ['Ed25519', ed25519, keys.ed25519.publicKey],
] as const)('signs what the image is with a key of %s, without a system', async (_, key, publicKey) => {
  const text = await sign(
    image,
    '--model',
    'ESP32-S3',
    '--key',
    key,
    '--min-version',
    '1.0.0',
    '--expires',
    '2099-06-30',
  );
  expect(text).toContain('signed  esp32-s3 1.2.0');
  const file = parseSignatureFile(readFileSync(`${image}.sig`));
  expect(file?.manifest).toMatchObject({ model: 'esp32-s3', version: '1.2.0', secureVersion: 3, minVersion: '1.0.0' });
  expect(file?.manifest.expires).toEqual(new Date('2099-06-30T00:00:00Z'));
  expect(file && signerOf(file, [publicPem(publicKey)])).toBeDefined();
});

test('writes the manifest alone, without a line break, to be signed elsewhere', async () => {
  await sign(image, '--model', 'esp32-s3', '--version', '2.0.0', '--unsigned', '--output', at('manifest'));
  expect(readFileSync(at('manifest'), 'utf8')).toMatch(
    /^paku-ota-release-1 model=esp32-s3 version=2\.0\.0 sha256=[0-9a-f]{64} size=\d+ secure_version=3$/,
  );
});

test('signs no file that cannot be a release', async () => {
  const bootloader = write('other.bin', Buffer.alloc(5_000, 7));
  await expect(sign(bootloader, '--model', 'm', '--version', '1.0.0', '--key', p256)).rejects.toThrow(
    'cannot be a release: NOT_ESP_IMAGE',
  );
});

test.each<[what: string, args: () => string[], message: string]>([
  ['no key', () => [], 'name the private key with --key'],
  ['an expiry in the past', () => ['--key', p256, '--expires', '2020-01-01'], 'which is past'],
  [
    'a minimum version without an order',
    () => ['--key', p256, '--min-version', 'old'],
    'expected a version like 1.2.0',
  ],
  ['a public key', () => ['--key', write('public.pem', publicPem(keys.p256.publicKey))], 'is not a private key in PEM'],
  ['an encrypted key', () => ['--key', write('secret.pem', encrypted())], '--key <(openssl pkey -in'],
  [
    'a key of another type',
    () => ['--key', write('p384.pem', plain(keys.p384.privateKey))],
    'expected P-256 or Ed25519',
  ],
])('refuses %s', async (_, args, message) => {
  const refused = sign(image, '--model', 'esp32-s3', ...args());
  await expect(refused).rejects.toThrow(message);
  await expect(refused).rejects.not.toThrow(/MIG|MC4C/);
});

const plain = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' });
const encrypted = () =>
  generateKeyPairSync('ec', {
    namedCurve: 'prime256v1',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' },
  }).privateKey;
