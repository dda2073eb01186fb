import { createHash, randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import type { Answer } from '../../kernel/index.ts';
import { AwsError } from '../../kernel/index.ts';
import { attributesOf } from './s3-objects.ts';
import { type S3Request, writtenBy, xmlAnswer } from './s3-request.ts';
import type { Content, ObjectAttributes, S3Store } from './s3-store.ts';

/** The minimum of every part except the last. https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
const MIN_PART_BYTES = 5 * 1024 * 1024;
const MAX_PARTS = 10_000;

interface Upload {
  readonly bucket: string;
  readonly key: string;
  readonly attributes: ObjectAttributes;
  readonly parts: Map<number, Content>;
}

/** Multipart uploads. A restart loses the unfinished ones, and clients begin them again. */
export class MultipartUploads {
  readonly #store: S3Store;
  readonly #uploads = new Map<string, Upload>();

  constructor(store: S3Store) {
    this.#store = store;
  }

  create({ bucket, key, request, authorize }: S3Request): Answer {
    authorize('PutObject');
    const uploadId = randomUUID();
    this.#uploads.set(uploadId, { bucket, key, attributes: attributesOf(request.headers), parts: new Map() });
    return xmlAnswer('InitiateMultipartUploadResult', { Bucket: bucket, Key: key, UploadId: uploadId });
  }

  async addPart(s3: S3Request): Promise<Answer> {
    s3.authorize('PutObject');
    const { parts } = this.#find(s3);
    const number = Number(s3.request.query.get('partNumber'));
    if (!Number.isInteger(number) || number < 1 || number > MAX_PARTS) {
      throw new AwsError('InvalidArgument', 400, `Part number must be an integer between 1 and ${MAX_PARTS}.`);
    }
    const content = await this.#store.write(s3.request.body);
    const replaced = parts.get(number);
    parts.set(number, content);
    if (replaced) this.#store.discard(replaced);
    return { status: 200, headers: { etag: `"${content.md5}"` } };
  }

  async complete(s3: S3Request): Promise<Answer> {
    const { bucket, key, request, authorize } = s3;
    authorize('PutObject');
    const upload = this.#find(s3);
    const listed = parseParts((await buffer(request.body)).toString());
    const parts = chooseParts(upload.parts, listed);
    const content = await this.#store.write(this.#joined(parts));
    const digests = parts.map(({ md5 }) => Buffer.from(md5, 'hex'));
    const etag = `${createHash('md5').update(Buffer.concat(digests)).digest('hex')}-${parts.length}`;
    const { versionId } = this.#store.publish(writtenBy(s3, 'CompleteMultipartUpload'), content, {
      ...upload.attributes,
      etag,
    });
    this.#discardParts(s3);
    const result = { Bucket: bucket, Key: key, ETag: `"${etag}"` };
    return xmlAnswer('CompleteMultipartUploadResult', result, { 'x-amz-version-id': versionId });
  }

  abort(s3: S3Request): Answer {
    s3.authorize('AbortMultipartUpload');
    this.#discardParts(s3);
    return { status: 204 };
  }

  #find({ bucket, key, request }: S3Request): Upload {
    const upload = this.#uploads.get(request.query.get('uploadId') ?? '');
    if (upload?.bucket === bucket && upload.key === key) return upload;
    const message = 'The specified multipart upload does not exist: aborted, completed or unknown.';
    throw new AwsError('NoSuchUpload', 404, message);
  }

  #discardParts(s3: S3Request): void {
    for (const part of this.#find(s3).parts.values()) this.#store.discard(part);
    this.#uploads.delete(s3.request.query.get('uploadId') ?? '');
  }

  async *#joined(parts: readonly Content[]): AsyncGenerator<Uint8Array> {
    for (const part of parts) yield* this.#store.read(part);
  }
}

function chooseParts(parts: ReadonlyMap<number, Content>, listed: ReturnType<typeof parseParts>): Content[] {
  if (listed.length === 0) throw new AwsError('MalformedXML', 400, 'The request lists no parts.');
  return listed.map(({ number, etag }, index) => {
    const part = parts.get(number);
    if (number <= (listed[index - 1]?.number ?? 0)) {
      throw new AwsError('InvalidPartOrder', 400, 'The list of parts was not in ascending order.');
    }
    if (part?.md5 !== etag) {
      throw new AwsError('InvalidPart', 400, `Part ${number} was not uploaded, or has another ETag.`);
    }
    if (part.size < MIN_PART_BYTES && index < listed.length - 1) {
      const message = `Part ${number} has ${part.size} bytes; the minimum is ${MIN_PART_BYTES}.`;
      throw new AwsError('EntityTooSmall', 400, message);
    }
    return part;
  });
}

/** The parts of a CompleteMultipartUpload document in its order. No other XML is parsed here. */
function parseParts(xml: string): { readonly number: number; readonly etag: string }[] {
  return [...xml.matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = '']) => ({
    number: Number(/<PartNumber>\s*(\d+)/.exec(part)?.[1]),
    etag: (/<ETag>(.*?)<\/ETag>/s.exec(part)?.[1] ?? '').replace(/&quot;|&#34;|"/g, '').trim(),
  }));
}
