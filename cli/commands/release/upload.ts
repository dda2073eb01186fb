import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { type ClientRequest, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { pipeline } from 'node:stream/promises';
import type { ApiClient } from '../../../api/client.ts';
import type { StartedUpload, UploadOutcome } from '../../../api/releases.ts';
import { DESCRIPTOR_BYTES, DESCRIPTOR_OFFSET, FORMAT_MAX_BYTES, readDescriptor } from '../../../core/image/index.ts';
import { compareVersions, DEVICE_VERSION_LENGTH } from '../../../core/protocol/index.ts';
import { CliError, EXIT } from '../../session/index.ts';

export interface UploadFile {
  readonly path: string;
  readonly sizeBytes: number;
}

export interface ImageFile extends UploadFile {
  readonly sha256: string;
  /** The version embedded in the image; undefined when it has none. */
  readonly appVersion: string | undefined;
}

/** @throws CliError for a file that cannot be an image. The service verifies everything else. */
export async function readImageFile(path: string): Promise<ImageFile> {
  const file = await readUploadFile(path, FORMAT_MAX_BYTES);
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return { ...file, sha256: hash.digest('hex'), appVersion: await readAppVersion(path) };
}

/** @throws CliError for a path that is not a file, and for a file that is too large for its kind */
export async function readUploadFile(path: string, maxBytes: number): Promise<UploadFile> {
  const found = await stat(path).catch((error: Error) => {
    throw new CliError(`${path} cannot be read: ${error.message}`);
  });
  if (!found.isFile()) throw new CliError(`${path} is not a file`);
  if (found.size > maxBytes) {
    throw new CliError(`${path} has ${found.size} bytes, at most ${maxBytes} are possible: is it the right file?`);
  }
  return { path, sizeBytes: found.size };
}

/** The version that an image embeds. @throws CliError if it cannot be that of a release */
export function versionOf(path: string, appVersion: string | undefined): string {
  if (appVersion === undefined)
    throw new CliError(`${path} does not say its version: give it with --version`, EXIT.usage);
  if (compareVersions(appVersion, appVersion) !== undefined && appVersion.length <= DEVICE_VERSION_LENGTH)
    return appVersion;
  const why =
    appVersion.length > DEVICE_VERSION_LENGTH
      ? `which is ${appVersion.length} characters long; devices read ${DEVICE_VERSION_LENGTH}`
      : 'which is not a semantic version';
  throw new CliError(
    `${path} calls itself "${appVersion}", ${why}: build it with another (PROJECT_VER in ESP-IDF), or name it with --version; a device then reports what the image calls itself`,
    EXIT.usage,
  );
}

async function readAppVersion(path: string): Promise<string | undefined> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(
      Buffer.alloc(DESCRIPTOR_BYTES),
      0,
      DESCRIPTOR_BYTES,
      DESCRIPTOR_OFFSET,
    );
    return readDescriptor(buffer.subarray(0, bytesRead))?.version || undefined;
  } finally {
    await file.close();
  }
}

/**
 * PUTs the file to the URL of a started upload.
 * @param onProgress is called with the number of bytes handed to the connection so far
 * @throws CliError when the connection breaks off, or S3 refuses the upload
 */
export async function putFile(
  { path, sizeBytes }: UploadFile,
  { upload_url, headers }: StartedUpload,
  onProgress: (sent: number) => void = () => {},
): Promise<void> {
  const request = upload_url.startsWith('https:') ? httpsRequest : httpRequest;
  // S3 does not accept a chunked body, and fetch sends a stream chunked: the length is stated here.
  const put = request(upload_url, { method: 'PUT', headers: { ...headers, 'content-length': sizeBytes } });
  const answered = responseOf(put);
  let sent = 0;
  const file = createReadStream(path).on('data', (chunk) => {
    sent += chunk.length;
    onProgress(sent);
  });
  await Promise.all([pipeline(file, put).catch(() => answered), answered]);
}

/** Resolves once S3 accepted the upload. No error names the URL, because the URL grants the upload. */
function responseOf(put: ClientRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    put.on('error', (error) => reject(new CliError(`the upload broke off: ${error.message}; try again`)));
    put.on('response', (response) => {
      const parts: Buffer[] = [];
      response
        .on('data', (part: Buffer) => parts.push(part))
        .on('end', () => {
          if (response.statusCode === 200) return resolve();
          const said = /<Message>([^<]*)/.exec(Buffer.concat(parts).toString())?.[1] ?? '';
          reject(new CliError(`S3 refused the upload: HTTP ${response.statusCode} ${said}`.trimEnd()));
        });
    });
  });
}

const POLL_INTERVAL_MS = 500;

export interface AwaitedUpload {
  readonly model: string;
  readonly version: string;
  readonly sha256: string;
  /** By the service's clock. */
  readonly since: string;
  readonly timeoutSeconds: number;
}

/**
 * Polls until an upload is registered or rejected.
 * @param before the outcome read before the upload; the same rejection is not this upload's
 * @throws CliError when the time is over
 */
export async function awaitOutcome(
  api: ApiClient,
  { model, version, sha256, since, timeoutSeconds }: AwaitedUpload,
  before: UploadOutcome,
): Promise<UploadOutcome> {
  const deadline = Date.now() + timeoutSeconds * 1000;
  for (;;) {
    const outcome = await api.uploadOutcome(model, version, { since, sha256 });
    if (outcome.state !== 'waiting' && !isSameRejection(outcome, before)) return outcome;
    if (Date.now() > deadline) {
      throw new CliError(
        `no verdict within ${timeoutSeconds} s: paku-ota release list and release list --rejected will show it; paku-ota dead-letters list says whether it is stuck`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
  }
}

const isSameRejection = ({ rejection }: UploadOutcome, before: UploadOutcome) =>
  rejection !== null && rejection.object_version === before.rejection?.object_version;
