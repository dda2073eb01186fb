import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/** A certificate and its private key in PEM, for `node:tls`. */
export interface TestIdentity {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority for a test. */
export interface TestAuthority {
  /** PEM of the authority's certificate. */
  readonly ca: string;
  /** Issues a server certificate for `localhost` and 127.0.0.1. */
  issueServer(): Promise<TestIdentity>;
  /** Issues a client certificate with the device id as its common name. */
  issueDevice(deviceId: string): Promise<TestIdentity>;
}

const CURVE = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const A_DAY_MS = 24 * 3600 * 1000;

/** Creates a certificate authority that nothing else on the machine trusts. */
export async function createTestAuthority(): Promise<TestAuthority> {
  const keys = await generateKeys();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    ...shared('CN=Test root'),
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  const issue = async (subject: string, ...extensions: x509.Extension[]): Promise<TestIdentity> => {
    const own = await generateKeys();
    const certificate = await x509.X509CertificateGenerator.create({
      ...shared(subject),
      issuer: root.subject,
      publicKey: own.publicKey,
      signingKey: keys.privateKey,
      extensions,
    });
    return { cert: certificate.toString('pem'), key: await privatePem(own.privateKey) };
  };
  const here = new x509.SubjectAlternativeNameExtension([
    { type: 'dns', value: 'localhost' },
    // Virtual devices compare a host with DNS names only.
    { type: 'dns', value: '127.0.0.1' },
    { type: 'ip', value: '127.0.0.1' },
  ]);
  return {
    ca: root.toString('pem'),
    issueServer: () => issue('CN=localhost', here),
    issueDevice: (deviceId) => issue(`CN=${deviceId}`),
  };
}

function shared(subject: string) {
  return {
    serialNumber: randomBytes(8).toString('hex'),
    name: subject,
    subject,
    notBefore: new Date(Date.now() - A_DAY_MS),
    notAfter: new Date(Date.now() + A_DAY_MS),
    signingAlgorithm: CURVE,
  };
}

function generateKeys() {
  return webcrypto.subtle.generateKey(CURVE, true, ['sign', 'verify']);
}

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}
