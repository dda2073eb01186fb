import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { type ClientRequest, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { pipeline } from 'node:stream/promises';
import type { ApiClient } from '../../../api/client.ts';
import type { StartedUpload, UploadOutcome } from '../../../api/releases.ts';
import { DESCRIPTOR_BYTES, DESCRIPTOR_OFFSET, FORMAT_MAX_BYTES, readDescriptor } from '../../../core/image/index.ts';
import { CliError } from '../../session/failure.ts';

export interface UploadFile {
  readonly path: string;
  readonly sizeBytes: number;
}

export interface ImageFile extends UploadFile {
  readonly sha256: string;
  /** What the image calls itself; undefined where it does not say so. */
  readonly appVersion: string | undefined;
}

/** @throws CliError for what cannot be an image at all; what it is, the service decides */
export async function readImageFile(path: string): Promise<ImageFile> {
  const file = await readUploadFile(path, FORMAT_MAX_BYTES);
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return { ...file, sha256: hash.digest('hex'), appVersion: await readAppVersion(path) };
}

/** @throws CliError for what is no file, or larger than a file of its kind can be */
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
 * PUTs the file to where an upload may go.
 * @param onProgress gets the bytes that were handed to the connection so far
 */
export async function putFile(
  { path, sizeBytes }: UploadFile,
  { upload_url, headers }: StartedUpload,
  onProgress: (sent: number) => void = () => {},
): Promise<void> {
  const request = upload_url.startsWith('https:') ? httpsRequest : httpRequest;
  // S3 takes no chunked body: the length goes before it, which fetch does not do for a stream.
  const put = request(upload_url, { method: 'PUT', headers: { ...headers, 'content-length': sizeBytes } });
  const answered = answerOf(put);
  let sent = 0;
  const file = createReadStream(path).on('data', (chunk) => {
    sent += chunk.length;
    onProgress(sent);
  });
  await Promise.all([pipeline(file, put).catch(() => answered), answered]);
}

/** The URL grants the upload, so it is in no message. */
function answerOf(put: ClientRequest): Promise<void> {
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

const POLL_MS = 500;

export interface Awaited {
  readonly model: string;
  readonly version: string;
  readonly sha256: string;
  /** By the clock of the service. */
  readonly since: string;
  readonly timeoutSeconds: number;
}

/** What became of an upload. @param before the outcome as it was before it, which is not this one's */
export async function awaitOutcome(
  api: ApiClient,
  { model, version, sha256, since, timeoutSeconds }: Awaited,
  before: UploadOutcome,
): Promise<UploadOutcome> {
  const deadline = Date.now() + timeoutSeconds * 1000;
  for (;;) {
    const outcome = await api.uploadOutcome(model, version, { since, sha256 });
    if (outcome.state !== 'waiting' && !isSame(outcome, before)) return outcome;
    if (Date.now() > deadline) {
      throw new CliError(
        `no verdict within ${timeoutSeconds} s: paku-ota release list and release list --rejected will show it; paku-ota dead-letters list says whether it is stuck`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

const isSame = ({ rejection }: UploadOutcome, before: UploadOutcome) =>
  rejection !== null && rejection.object_version === before.rejection?.object_version;
