import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parsePublicKey } from '../../../core/image/public-keys.ts';
import {
  formatManifest,
  MAX_SIGNATURE_BYTES,
  parseManifest,
  parseSignatureFile,
  type ReleaseManifest,
  signerOf,
  signManifest,
} from '../../../core/image/release-manifest.ts';
import { signingKeys } from '../../support/signing-keys.ts';

const keys = signingKeys();
const pem = ({ publicKey }: { publicKey: KeyObject }) => publicKey.export({ type: 'spki', format: 'pem' }).toString();
const nameOf = (pair: { publicKey: KeyObject }) => parsePublicKey(pem(pair)).digest;
const trusted = [keys.otherP256, keys.ed25519, keys.p256, keys.otherEd25519].map(pem);

const MANIFEST: ReleaseManifest = {
  model: 'esp32-s3',
  version: '1.2.0',
  sha256: 'ab'.repeat(32),
  size: 601_234,
  secureVersion: 2,
  minVersion: '1.0.0',
  expires: new Date('2027-06-30T00:00:00Z'),
};
const TEXT = `paku-ota-release-1 model=esp32-s3 version=1.2.0 sha256=${MANIFEST.sha256} size=601234 secure_version=2 min_version=1.0.0 expires=2027-06-30T00:00:00Z`;

const signerOfFile = (file: string | Uint8Array, trust = trusted) => {
  const parsed = parseSignatureFile(Buffer.from(file as string));
  return parsed === undefined ? undefined : signerOf(parsed, trust)?.digest;
};

describe('a manifest', () => {
  test('is one line with every member in a fixed order, and absent members are left out', () => {
    expect(formatManifest(MANIFEST)).toBe(TEXT);
    expect(formatManifest({ ...MANIFEST, minVersion: null, expires: null })).toBe(
      TEXT.slice(0, TEXT.indexOf(' min_version')),
    );
  });

  test('has one text only: what is parsed is written in the same way', () => {
    const name = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,63}$/);
    const manifests = fc.record({
      model: name,
      version: name,
      sha256: fc.stringMatching(/^[0-9a-f]{64}$/),
      size: fc.integer({ min: 1, max: 16_777_216 }),
      secureVersion: fc.integer({ min: 0, max: 4_294_967_295 }),
      minVersion: fc.option(name),
      expires: fc.option(fc.integer({ min: 0, max: 4_102_444_800 }).map((seconds) => new Date(seconds * 1_000))),
    });
    fc.assert(
      fc.property(manifests, (manifest) => {
        expect(parseManifest(formatManifest(manifest))).toEqual(manifest);
      }),
    );
  });

  test.each([
    ['a space more', TEXT.replace(' size', '  size')],
    ['another order', TEXT.replace(/(model=\S+) (version=\S+)/, '$2 $1')],
    ['an unknown member', `${TEXT} note=1`],
    ['a member twice', `${TEXT} expires=2099-01-01T00:00:00Z`],
    ['a leading zero', TEXT.replace('size=6', 'size=06')],
    ['upper-case hex', TEXT.replace(MANIFEST.sha256, 'AB'.repeat(32))],
    ['a day that does not exist', TEXT.replace('06-30', '06-31')],
    ['a line break', TEXT.replace(' size', '\nsize')],
    ['another format', TEXT.replace('release-1', 'release-2')],
    ['nothing', ''],
  ])('with %s is not parsed', (_, text) => {
    expect(parseManifest(text)).toBeUndefined();
  });

  test('with a name that would add a member is not written', () => {
    expect(() => formatManifest({ ...MANIFEST, version: '1.2.0 size=1' })).toThrow('is not a manifest');
  });
});

describe('a signature file', () => {
  test.each([
    ['ECDSA P-256', keys.p256],
    ['Ed25519', keys.ed25519],
  ] as const)('with %s names the trusted key that signed the manifest', (_, pair) => {
    const file = signManifest(MANIFEST, pair.privateKey);
    expect(signerOfFile(file)).toBe(nameOf(pair));
    expect(parseSignatureFile(Buffer.from(file))?.manifest).toEqual(MANIFEST);
  });

  test('by an untrusted key names none', () => {
    const others = [keys.otherP256, keys.otherEd25519].map(pem);
    for (const pair of [keys.p256, keys.ed25519])
      expect(signerOfFile(signManifest(MANIFEST, pair.privateKey), others)).toBeUndefined();
  });

  test('of the longest names fits the limit of its size', () => {
    const name = 'a'.repeat(64);
    const longest = { ...MANIFEST, model: name, version: name, minVersion: name, secureVersion: 4_294_967_295 };
    expect(signManifest(longest, keys.p256.privateKey).length).toBeLessThan(MAX_SIGNATURE_BYTES);
  });

  test('with any changed byte names no key', () => {
    for (const pair of [keys.p256, keys.ed25519]) {
      const file = Buffer.from(signManifest(MANIFEST, pair.privateKey));
      for (let at = 0; at < file.length - 1; at++) {
        const changed = Buffer.from(file);
        changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
        // The last characters of base64 have bits without a meaning.
        const isSameSignature = parseSignatureFile(changed)?.text === TEXT && sameSignature(changed, file);
        if (!isSameSignature) expect(signerOfFile(changed), `byte ${at}`).toBeUndefined();
      }
    }
  });

  test('of random bytes is not parsed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => parseSignatureFile(bytes) === undefined),
      { numRuns: 300 },
    );
  });
});

function sameSignature(a: Buffer, b: Buffer): boolean {
  const [left, right] = [a, b].map((file) =>
    Buffer.from(file.toString('latin1').split('\n')[1] ?? '', 'base64').toString('hex'),
  );
  return left === right;
}

describe('a trusted public key', () => {
  test('is identified by the SHA-256 of its SubjectPublicKeyInfo', () => {
    const der = keys.p256.publicKey.export({ type: 'spki', format: 'der' });
    const digest = createHash('sha256').update(der).digest('hex');
    expect(parsePublicKey(pem(keys.p256))).toMatchObject({ scheme: 'ECDSA-P256', digest });
    expect(parsePublicKey(pem(keys.ed25519)).scheme).toBe('Ed25519');
  });

  test('must be exactly one P-256 or Ed25519 key', () => {
    const wrong = [
      pem(keys.p384),
      pem(generateKeyPairSync('rsa', { modulusLength: 2048 })),
      pem(generateKeyPairSync('x25519')),
      pem(keys.p256) + pem(keys.ed25519),
      '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----',
      'keys/release.pem',
      '',
    ];
    for (const text of wrong)
      expect(() => parsePublicKey(text), text).toThrow('expected one P-256 or Ed25519 public key');
  });

  test.each(['pkcs8', 'sec1'] as const)('must not be a private key (%s), which the error does not repeat', (type) => {
    const text = keys.p256.privateKey.export({ type, format: 'pem' }).toString();
    expect(createPrivateKey(text).type).toBe('private');
    const message = (() => {
      try {
        return String(parsePublicKey(text));
      } catch (error) {
        return String(error);
      }
    })();
    expect(message).toContain('this is a private key');
    for (const line of text.split('\n').filter((part) => part.length > 8 && !part.startsWith('-')))
      expect(message).not.toContain(line);
  });
});
