import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { detachedSignature } from '../../../core/image/detached-signature.ts';
import { parsePublicKey } from '../../../core/image/public-keys.ts';
import { signingKeys } from '../../support/signing-keys.ts';

const keys = signingKeys();
const pem = ({ publicKey }: { publicKey: KeyObject }) => publicKey.export({ type: 'spki', format: 'pem' }).toString();
const nameOf = (pair: { publicKey: KeyObject }) => parsePublicKey(pem(pair)).digest;

const image = Buffer.from('an image, which may be any bytes at all');
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
const trusted = [keys.otherP256, keys.ed25519, keys.p256, keys.otherEd25519].map(pem);

async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 7) yield bytes.subarray(at, at + 7);
}

async function signerOf(signature: Uint8Array, bytes: Uint8Array = image, trust = trusted) {
  const detached = detachedSignature(signature, trust);
  const seen: Uint8Array[] = [];
  for await (const chunk of detached.watch(inPieces(bytes))) seen.push(chunk);
  expect(Buffer.concat(seen)).toEqual(Buffer.from(bytes));
  return detached.signer(sha256(bytes).toString('hex'))?.digest;
}

const ecdsa = sign('sha256', image, keys.p256.privateKey);
const ed25519 = sign(null, sha256(image), keys.ed25519.privateKey);

describe('a detached signature', () => {
  test('with ECDSA P-256 over the file, in DER, identifies the trusted key that made it', async () => {
    expect(await signerOf(ecdsa)).toBe(nameOf(keys.p256));
  });

  test('with Ed25519 over the SHA-256 of the file identifies the trusted key that made it', async () => {
    expect(await signerOf(ed25519)).toBe(nameOf(keys.ed25519));
  });

  test('by an untrusted key is not accepted', async () => {
    const others = [keys.otherP256, keys.otherEd25519].map(pem);
    expect(await signerOf(ecdsa, image, others)).toBeUndefined();
    expect(await signerOf(ed25519, image, others)).toBeUndefined();
  });

  test('for other bytes is not accepted', async () => {
    const other = Buffer.concat([image, Buffer.alloc(1)]);
    expect(await signerOf(ecdsa, other)).toBeUndefined();
    expect(await signerOf(ed25519, other)).toBeUndefined();
  });

  test('in another form is not accepted: Ed25519 over the file itself, ECDSA as two plain numbers, text', async () => {
    expect(await signerOf(sign(null, image, keys.ed25519.privateKey))).toBeUndefined();
    const plain = sign('sha256', image, { key: keys.p256.privateKey, dsaEncoding: 'ieee-p1363' });
    expect(await signerOf(plain)).toBeUndefined();
    expect(await signerOf(Buffer.from(ecdsa.toString('base64')))).toBeUndefined();
    expect(await signerOf(new Uint8Array())).toBeUndefined();
  });

  test('with any changed byte, or of random bytes, is not accepted', async () => {
    for (const signature of [ecdsa, ed25519]) {
      for (let at = 0; at < signature.length; at++) {
        const changed = Buffer.from(signature);
        changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
        expect(await signerOf(changed), `byte ${at}`).toBeUndefined();
      }
    }
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 100 }), async (bytes) => (await signerOf(bytes)) === undefined),
      { numRuns: 300 },
    );
  });
});

describe('a trusted public key', () => {
  test('is identified by the SHA-256 of its SubjectPublicKeyInfo', () => {
    const der = keys.p256.publicKey.export({ type: 'spki', format: 'der' });
    expect(parsePublicKey(pem(keys.p256))).toMatchObject({ scheme: 'ECDSA-P256', digest: sha256(der).toString('hex') });
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
