import { generateKeyPairSync } from 'node:crypto';

/** New key pairs, one per signature type and two of the most used types. */
export const signingKeys = () => ({
  rsa: generateKeyPairSync('rsa', { modulusLength: 3072 }),
  p192: generateKeyPairSync('ec', { namedCurve: 'prime192v1' }),
  p256: generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
  otherP256: generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'secp384r1' }),
  ed25519: generateKeyPairSync('ed25519'),
  otherEd25519: generateKeyPairSync('ed25519'),
});

export type SigningKeys = ReturnType<typeof signingKeys>;
