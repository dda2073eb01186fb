import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import {
  FORMAT_MAX_BYTES,
  formatManifest,
  inspectImage,
  parsePublicKey,
  type ReleaseManifest,
  signManifest,
} from '../../../core/image/index.ts';
import { compareVersions, normalizeModel } from '../../../core/protocol/index.ts';
import { CliError, EXIT, type Output } from '../../session/index.ts';
import { bytes } from '../../text/index.ts';
import { readUploadFile, versionOf } from './upload.ts';

export interface SignReleaseOptions {
  readonly model: string;
  readonly version?: string;
  readonly minVersion?: string;
  /** In ISO 8601. */
  readonly expires?: string;
  /** Path of a private key in PEM. */
  readonly key?: string;
  readonly unsigned?: boolean;
  readonly output?: string;
}

/** Writes the signature file of an image, or its manifest alone. Makes no network call. */
export async function signRelease(output: Output, options: SignReleaseOptions, path: string): Promise<void> {
  if (options.key === undefined && !options.unsigned)
    throw new CliError('name the private key with --key, or write the manifest alone with --unsigned', EXIT.usage);
  const manifest = await describeImage(options, path);
  const text = formatManifest(manifest);
  const key = options.key === undefined ? undefined : await readPrivateKey(options.key);
  const file = options.output ?? `${path}.${key === undefined ? 'manifest' : 'sig'}`;
  await writeFile(file, key === undefined ? text : signManifest(manifest, key.privateKey));
  const result = { file, manifest: text, signing_key: key?.digest ?? null };
  output.show(result, () => [
    `${key === undefined ? 'wrote the manifest of' : 'signed'}  ${manifest.model} ${manifest.version}, ${bytes(manifest.size)}, ${manifest.expires === null ? 'without an end' : `until ${manifest.expires.toISOString()}`}`,
    ...(key === undefined ? [] : [`key     ${key.scheme} ${key.digest}`]),
    `file    ${file}`,
  ]);
}

async function describeImage(
  { model, version, minVersion, expires }: SignReleaseOptions,
  path: string,
): Promise<ReleaseManifest> {
  const { sizeBytes } = await readUploadFile(path, FORMAT_MAX_BYTES);
  const kinds = { allowWithoutDescriptor: true, acceptEsp8266: true };
  const { verdict, message, sha256, image } = await inspectImage(createReadStream(path), { sizeBytes, ...kinds });
  if (verdict !== 'ACCEPT' || sha256 === null)
    throw new CliError(`${path} cannot be a release: ${verdict}, ${message}`);
  if (minVersion !== undefined && compareVersions(minVersion, minVersion) === undefined)
    throw new CliError(`--min-version is "${minVersion}", expected a version like 1.2.0`, EXIT.usage);
  if (expires !== undefined && new Date(expires) <= new Date())
    throw new CliError(`--expires is ${expires}, which is past`, EXIT.usage);
  const { descriptor = null } = image ?? {};
  return {
    model: normalizeModel(model),
    version: version ?? versionOf(path, descriptor?.version || undefined),
    sha256,
    size: sizeBytes,
    secureVersion: descriptor?.secureVersion ?? 0,
    minVersion: minVersion ?? null,
    expires: expires === undefined ? null : new Date(expires),
  };
}

/** @throws CliError for anything but a P-256 or Ed25519 key; it never repeats the content of the file */
async function readPrivateKey(path: string) {
  const pem = await readFile(path, 'utf8').catch((error: Error) => {
    throw new CliError(`${path} cannot be read: ${error.message}`);
  });
  if (pem.includes('ENCRYPTED'))
    throw new CliError(`${path} is encrypted; decrypt it on the way: --key <(openssl pkey -in ${path})`);
  const privateKey = parsePrivateKey(pem);
  if (privateKey === undefined)
    throw new CliError(`${path} is not a private key in PEM, "-----BEGIN PRIVATE KEY-----" to its end`);
  try {
    const publicPem = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString();
    return { privateKey, ...parsePublicKey(publicPem) };
  } catch {
    throw new CliError(`${path} is a key of the type ${privateKey.asymmetricKeyType}, expected P-256 or Ed25519`);
  }
}

function parsePrivateKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}
