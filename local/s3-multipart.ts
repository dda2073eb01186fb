import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { AwsError } from './aws-service.ts';
import { type ObjectAttributes, type ObjectVersion, type S3Store, writeAtomically } from './s3-store.ts';

/** The last part may be smaller. https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
const MIN_PART_BYTES = 5 * 1024 * 1024;
const MAX_PARTS = 10_000;

interface Upload extends ObjectAttributes {
  readonly bucket: string;
  readonly key: string;
}

interface Part {
  readonly number: number;
  readonly file: string;
  readonly size: number;
  readonly etag: string;
}

/** Uploads in parts. A part lies in its upload's folder as `<number>-<size>-<etag>`, so a restart forgets nothing. */
export class MultipartUploads {
  readonly #store: S3Store;

  constructor(store: S3Store) {
    this.#store = store;
  }

  async create(upload: Upload): Promise<string> {
    const uploadId = randomUUID();
    await mkdir(this.#path(uploadId));
    await writeAtomically(
      this.#path(uploadId, 'upload.json'),
      this.#store.path('tmp', uploadId),
      JSON.stringify(upload),
    );
    return uploadId;
  }

  /** @returns the part's ETag */
  async addPart(
    upload: { readonly bucket: string; readonly key: string; readonly uploadId: string; readonly number: number },
    body: AsyncIterable<Uint8Array>,
    check: (md5: string) => void,
  ): Promise<string> {
    const { uploadId, number } = upload;
    if (!Number.isInteger(number) || number < 1 || number > MAX_PARTS) {
      throw new AwsError('InvalidArgument', 400, `Part number must be an integer between 1 and ${MAX_PARTS}.`);
    }
    await this.#find(upload);
    const { contentId, size, md5 } = await this.#store.write(body);
    const written = this.#store.path('content', contentId);
    try {
      check(md5);
      const replaced = (await this.#parts(uploadId)).filter((part) => part.number === number);
      await rename(written, this.#path(uploadId, `${number}-${size}-${md5}`));
      for (const part of replaced.filter(({ etag }) => etag !== md5)) await rm(part.file, { force: true });
    } catch (error) {
      await rm(written, { force: true });
      throw error;
    }
    return md5;
  }

  async complete(
    target: { readonly bucket: string; readonly key: string; readonly uploadId: string },
    listed: readonly { readonly number: number; readonly etag: string }[],
    check: (current: ObjectVersion | undefined) => void,
  ): Promise<ObjectVersion> {
    const { bucket, key, uploadId } = target;
    const { contentType, metadata } = await this.#find(target);
    const parts = chooseParts(await this.#parts(uploadId), listed);
    const content = await this.#store.write(concatenate(parts));
    const digests = parts.map(({ etag }) => Buffer.from(etag, 'hex'));
    const etag = `${createHash('md5').update(Buffer.concat(digests)).digest('hex')}-${parts.length}`;
    const reason = 'CompleteMultipartUpload';
    const version = await this.#store.publish({ bucket, key, reason }, content, { contentType, metadata, etag }, check);
    await rm(this.#path(uploadId), { recursive: true, force: true });
    return version;
  }

  async abort(target: { readonly bucket: string; readonly key: string; readonly uploadId: string }): Promise<void> {
    await this.#find(target);
    await rm(this.#path(target.uploadId), { recursive: true, force: true });
  }

  async #find(target: { readonly bucket: string; readonly key: string; readonly uploadId: string }): Promise<Upload> {
    const { bucket, key, uploadId } = target;
    // The id becomes a path below, so only ids of the form that is made here are looked up.
    const text = /^[0-9a-f-]{36}$/.test(uploadId)
      ? await readFile(this.#path(uploadId, 'upload.json'), 'utf8').catch(() => undefined)
      : undefined;
    const upload = text === undefined ? undefined : (JSON.parse(text) as Upload);
    if (upload?.bucket === bucket && upload.key === key) return upload;
    throw new AwsError(
      'NoSuchUpload',
      404,
      'The specified multipart upload does not exist: aborted, completed or unknown.',
    );
  }

  async #parts(uploadId: string): Promise<Part[]> {
    const names = (await readdir(this.#path(uploadId))).filter((name) => name !== 'upload.json');
    return names.map((name) => {
      const [number = '', size = '', etag = ''] = name.split('-');
      return { number: Number(number), size: Number(size), etag, file: this.#path(uploadId, name) };
    });
  }

  #path(uploadId: string, ...names: string[]): string {
    return this.#store.path('uploads', uploadId, ...names);
  }
}

function chooseParts(
  parts: readonly Part[],
  listed: readonly { readonly number: number; readonly etag: string }[],
): Part[] {
  if (listed.length === 0) throw new AwsError('MalformedXML', 400, 'The request lists no parts.');
  return listed.map(({ number, etag }, index) => {
    const part = parts.find((candidate) => candidate.number === number && candidate.etag === etag);
    if (number <= (listed[index - 1]?.number ?? 0)) {
      throw new AwsError('InvalidPartOrder', 400, 'The list of parts was not in ascending order.');
    }
    if (!part) throw new AwsError('InvalidPart', 400, `Part ${number} was not uploaded, or has another ETag.`);
    if (part.size < MIN_PART_BYTES && index < listed.length - 1) {
      throw new AwsError(
        'EntityTooSmall',
        400,
        `Part ${number} has ${part.size} bytes; the minimum is ${MIN_PART_BYTES}.`,
      );
    }
    return part;
  });
}

async function* concatenate(parts: readonly Part[]): AsyncGenerator<Uint8Array> {
  for (const { file } of parts) yield* createReadStream(file) as AsyncIterable<Uint8Array>;
}
