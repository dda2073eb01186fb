import { generateKeyPairSync, type KeyPairKeyObjectResult } from 'node:crypto';

let rsa: KeyPairKeyObjectResult | undefined;

/** New key pairs, one per signature type and two of the most used types. */
export const signingKeys = () => ({
  /** Made when it is first read, since that takes up to a second. */
  get rsa() {
    rsa ??= generateKeyPairSync('rsa', { modulusLength: 3072 });
    return rsa;
  },
  p192: generateKeyPairSync('ec', { namedCurve: 'prime192v1' }),
  p256: generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
  otherP256: generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'secp384r1' }),
  ed25519: generateKeyPairSync('ed25519'),
  otherEd25519: generateKeyPairSync('ed25519'),
});

export type SigningKeys = ReturnType<typeof signingKeys>;
