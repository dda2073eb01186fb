import 'reflect-metadata';
import { randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

const CURVE = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 24 * 3600 * 1000;
const VALID_DAYS = 3_650;
/** Device ids: thing names of at most half the length that AWS allows. No character can leave a folder. */
const DEVICE_ID = /^[A-Za-z0-9_:-]{1,64}$/;

/** Paths of a certificate and its private key, both in PEM. */
export interface CertificateFiles {
  readonly certificateFile: string;
  readonly privateKeyFile: string;
}

/** A certificate of a device. */
export interface DeviceCertificate {
  readonly id: string;
  readonly deviceId: string;
  readonly createdAt: Date;
}

/** A certificate authority in a folder. It keeps its key, so device certificates stay valid after a restart. */
export class CertificateAuthority {
  readonly caFile: string;
  readonly #folder: string;
  readonly #root: x509.X509Certificate;
  readonly #key: webcrypto.CryptoKey;

  private constructor(folder: string, root: x509.X509Certificate, key: webcrypto.CryptoKey) {
    this.#folder = folder;
    this.caFile = join(folder, 'ca.pem');
    this.#root = root;
    this.#key = key;
  }

  static async open(folder: string): Promise<CertificateAuthority> {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const [caFile, keyFile] = [join(folder, 'ca.pem'), join(folder, 'ca-key.pem')];
    if (existsSync(keyFile)) {
      const key = await importKey(readFileSync(keyFile, 'utf8'));
      return new CertificateAuthority(folder, new x509.X509Certificate(readFileSync(caFile, 'utf8')), key);
    }
    const keys = await generateKeys();
    const root = await x509.X509CertificateGenerator.createSelfSigned({
      ...commonFields('CN=paku-ota local'),
      keys,
      extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
    });
    writeFileSync(caFile, root.toString('pem'));
    writeFileSync(keyFile, await exportKey(keys.privateKey), { mode: 0o600 });
    return new CertificateAuthority(folder, root, keys.privateKey);
  }

  /**
   * Issues a broker certificate for every name and address that this machine has now. Each address stands there as a DNS
   * name too: mbedTLS 2.28, which arduino-esp32 2.x has, compares a host with DNS names only.
   */
  async issueServer(): Promise<{ cert: string; key: string }> {
    const addresses = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter(({ family }) => family === 'IPv4')
      .map(({ address }) => address);
    const names: x509.JsonGeneralNames = [
      ...['localhost', hostname(), ...addresses].map((value) => ({ type: 'dns' as const, value })),
      ...addresses.map((value) => ({ type: 'ip' as const, value })),
    ];
    return this.#issue('CN=localhost', new x509.SubjectAlternativeNameExtension(names));
  }

  /**
   * Returns the key and certificate of a device, and creates them if there are none or the certificate was revoked.
   * @throws Error for an invalid device id
   */
  async addDevice(deviceId: string): Promise<CertificateFiles> {
    const folder = this.#folderOf(deviceId);
    const files = { certificateFile: join(folder, 'certificate.pem'), privateKeyFile: join(folder, 'private-key.pem') };
    const id = this.certificateOf(deviceId);
    if (id !== undefined && !this.isRevoked(id)) return files;
    return this.replaceDevice(deviceId);
  }

  /**
   * Creates another key and certificate for a device. The one before stays valid, as on AWS.
   * @throws Error for an invalid device id
   */
  async replaceDevice(deviceId: string): Promise<CertificateFiles> {
    const folder = this.#folderOf(deviceId);
    const files = { certificateFile: join(folder, 'certificate.pem'), privateKeyFile: join(folder, 'private-key.pem') };
    const id = this.certificateOf(deviceId);
    if (id !== undefined) this.#archive(folder, id);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { cert, key } = await this.#issue(`CN=${deviceId}`);
    writeFileSync(files.privateKeyFile, key, { mode: 0o600 });
    writeFileSync(files.certificateFile, cert);
    return files;
  }

  /** Id of the device's certificate: its SHA-256, as in AWS IoT. Undefined if it has none. */
  certificateOf(deviceId: string): string | undefined {
    const file = join(this.#folderOf(deviceId), 'certificate.pem');
    return existsSync(file) ? certificateId(new X509Certificate(readFileSync(file)).fingerprint256) : undefined;
  }

  /** All certificates of a device, the present one and those before it. */
  certificatesOf(deviceId: string): DeviceCertificate[] {
    return this.#all().filter((certificate) => certificate.deviceId === deviceId);
  }

  certificateById(id: string): DeviceCertificate | undefined {
    return this.#all().find((certificate) => certificate.id === id);
  }

  #all(): DeviceCertificate[] {
    const files = ['devices', 'replaced'].flatMap((name) => {
      const parent = join(this.#folder, name);
      return existsSync(parent) ? readdirSync(parent).map((each) => join(parent, each, 'certificate.pem')) : [];
    });
    return files.filter(existsSync).map((file) => {
      const { subject, fingerprint256 } = new X509Certificate(readFileSync(file));
      const deviceId = subject.replace(/^CN=/, '');
      return { id: certificateId(fingerprint256), deviceId, createdAt: statSync(file).mtime };
    });
  }

  /** Revokes the certificate permanently. */
  revoke(id: string): void {
    mkdirSync(join(this.#folder, 'revoked'), { recursive: true, mode: 0o700 });
    writeFileSync(join(this.#folder, 'revoked', id), '');
  }

  isRevoked(id: string): boolean {
    return existsSync(join(this.#folder, 'revoked', id));
  }

  #archive(folder: string, id: string): void {
    mkdirSync(join(this.#folder, 'replaced'), { recursive: true, mode: 0o700 });
    renameSync(folder, join(this.#folder, 'replaced', id));
  }

  #folderOf(deviceId: string): string {
    if (!DEVICE_ID.test(deviceId)) {
      throw new Error(`"${deviceId}" is not a device id; expected 1 to 64 of A-Z a-z 0-9 _ : -`);
    }
    return join(this.#folder, 'devices', deviceId.replaceAll(':', '+'));
  }

  async #issue(subject: string, ...extensions: x509.Extension[]): Promise<{ cert: string; key: string }> {
    const own = await generateKeys();
    const certificate = await x509.X509CertificateGenerator.create({
      ...commonFields(subject),
      issuer: this.#root.subject,
      publicKey: own.publicKey,
      signingKey: this.#key,
      extensions,
    });
    return { cert: certificate.toString('pem'), key: await exportKey(own.privateKey) };
  }
}

/** @param fingerprint SHA-256 in Node's format, `AB:CD:…` */
export const certificateId = (fingerprint: string): string => fingerprint.replaceAll(':', '').toLowerCase();

function commonFields(subject: string) {
  return {
    serialNumber: randomBytes(8).toString('hex'),
    name: subject,
    subject,
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + VALID_DAYS * DAY_MS),
    signingAlgorithm: CURVE,
  };
}

const generateKeys = () => webcrypto.subtle.generateKey(CURVE, true, ['sign', 'verify']);

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(pem), CURVE, true, ['sign']);
}
