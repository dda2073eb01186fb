import { createHash, createPublicKey, type KeyObject } from 'node:crypto';

/** A public key for detached signatures. */
export interface PublicKey {
  readonly key: KeyObject;
  readonly scheme: 'ECDSA-P256' | 'Ed25519';
  /** SHA-256 of the SubjectPublicKeyInfo in DER, in hex; identifies the key in messages. */
  readonly digest: string;
}

/**
 * Parses one public key, P-256 or Ed25519, in PEM. Node.js would also derive it from a private key, which must not be
 * in settings; therefore the input never appears in the error.
 * @throws Error that says what was expected
 */
export function parsePublicKey(pem: string): PublicKey {
  if (pem.includes('PRIVATE KEY'))
    throw new Error(
      'this is a private key, which must not be here and is no longer private: sign with a new one, and set its public key (openssl pkey -pubout)',
    );
  const key = parseKey(pem);
  const scheme = key === undefined ? undefined : schemeOf(key);
  if (key === undefined || scheme === undefined)
    throw new Error('expected one P-256 or Ed25519 public key in PEM, "-----BEGIN PUBLIC KEY-----" to its end');
  const der = key.export({ type: 'spki', format: 'der' });
  return { key, scheme, digest: createHash('sha256').update(der).digest('hex') };
}

function parseKey(pem: string): KeyObject | undefined {
  if (!/^\s*-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----\s*$/.test(pem)) return undefined;
  try {
    return createPublicKey(pem);
  } catch {
    return undefined;
  }
}

function schemeOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): PublicKey['scheme'] | undefined {
  if (asymmetricKeyType === 'ed25519') return 'Ed25519';
  return asymmetricKeyDetails?.namedCurve === 'prime256v1' ? 'ECDSA-P256' : undefined;
}
