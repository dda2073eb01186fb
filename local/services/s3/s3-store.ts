import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { writeWhole } from '../../kernel/index.ts';

/** Bytes that were written, not yet an object. */
export interface Content {
  readonly contentId: string;
  readonly size: number;
  readonly md5: string;
}

/** What an object is stored with besides its bytes. */
export interface ObjectAttributes {
  readonly contentType: string;
  /** `x-amz-meta-*`, without the prefix. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface ObjectVersion extends ObjectAttributes {
  readonly versionId: string;
  readonly contentId: string;
  readonly size: number;
  readonly etag: string;
  /** ISO 8601. */
  readonly lastModified: string;
}

export interface StoredObject {
  readonly key: string;
  /** Newest first. */
  readonly versions: readonly [ObjectVersion, ...ObjectVersion[]];
}

export interface ObjectCreated {
  readonly bucket: string;
  readonly key: string;
  readonly size: number;
  readonly etag: string;
  readonly versionId: string;
  /** Hexadecimal; a later event of the same key has a greater one. */
  readonly sequencer: string;
  readonly reason: 'PutObject' | 'CopyObject' | 'CompleteMultipartUpload';
}

/**
 * The event `Object Created` as S3 puts it on EventBridge; the key is plain here, unlike in S3's own notifications.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
 */
export function objectCreatedEvent({ bucket, key, size, etag, versionId, sequencer, reason }: ObjectCreated) {
  const object = { key, size, etag, 'version-id': versionId, sequencer };
  return {
    source: 'aws.s3',
    'detail-type': 'Object Created',
    detail: { version: '0', bucket: { name: bucket }, object, reason },
  };
}

/** First and last byte. */
export type Range = { readonly start: number; readonly end: number };

/**
 * Versioned buckets in a folder. Contents lie under random names, and each key's versions in a JSON file that is named by
 * the key's hash, so that no key, however hostile, is ever a path.
 */
export class S3Store {
  readonly #root: string;
  readonly #clock: () => number;
  readonly #buckets = new Map<string, Map<string, StoredObject>>();
  readonly #listeners: ((event: ObjectCreated) => void)[] = [];
  #lastSequence = 0;

  /** Opens the store. Leftovers of interrupted writes are removed. */
  constructor(root: string, buckets: readonly string[], clock: () => number = Date.now) {
    this.#root = root;
    this.#clock = clock;
    mkdirSync(join(root, 'content'), { recursive: true });
    for (const name of buckets) this.#buckets.set(name, readIndex(join(root, 'buckets', name)));
    const objects = [...this.#buckets.values()].flatMap((bucket) => [...bucket.values()]);
    const used = new Set(objects.flatMap(({ versions }) => versions.map(({ contentId }) => contentId)));
    for (const contentId of readdirSync(join(root, 'content'))) if (!used.has(contentId)) this.discard({ contentId });
  }

  has(bucket: string): boolean {
    return this.#buckets.has(bucket);
  }

  /** Called once for every object that became visible, after it did. */
  onObjectCreated(listener: (event: ObjectCreated) => void): void {
    this.#listeners.push(listener);
  }

  /** All objects, ordered by the UTF-8 of their keys. */
  list(bucket: string): StoredObject[] {
    const objects = [...(this.#buckets.get(bucket)?.values() ?? [])];
    return objects.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
  }

  /** A version, the newest by default. */
  find(bucket: string, key: string, versionId?: string): ObjectVersion | undefined {
    const versions = this.#buckets.get(bucket)?.get(key)?.versions ?? [];
    return versions.find((version) => versionId === undefined || version.versionId === versionId);
  }

  read({ contentId }: Pick<Content, 'contentId'>, range?: Range): Readable {
    return createReadStream(join(this.#root, 'content', contentId), range);
  }

  /** Writes bytes as they come. They are nobody's until {@link publish}. */
  async write(source: AsyncIterable<Uint8Array>): Promise<Content> {
    const contentId = randomUUID();
    const md5 = createHash('md5');
    let size = 0;
    async function* measured() {
      for await (const piece of source) {
        md5.update(piece);
        size += piece.length;
        yield piece;
      }
    }
    const file = createWriteStream(join(this.#root, 'content', contentId));
    try {
      await pipeline(measured, file);
    } catch (error) {
      // The file may not be open yet: opened after its removal, it would stay.
      if (!file.closed) await new Promise<void>((resolve) => file.once('close', resolve));
      this.discard({ contentId });
      throw error;
    }
    return { contentId, size, md5: md5.digest('hex') };
  }

  /** Removes content that will not be published. */
  discard({ contentId }: Pick<Content, 'contentId'>): void {
    rmSync(join(this.#root, 'content', contentId), { force: true });
  }

  /** Makes content an object's newest version. Its ETag is the MD5, unless the attributes have another. */
  publish(
    target: Pick<ObjectCreated, 'bucket' | 'key' | 'reason'>,
    { contentId, size, md5 }: Content,
    attributes: ObjectAttributes & { readonly etag?: string },
  ): ObjectVersion {
    const { bucket, key } = target;
    const versionId = randomBytes(24).toString('base64url');
    const lastModified = new Date(this.#clock()).toISOString();
    const version: ObjectVersion = { etag: md5, ...attributes, contentId, size, lastModified, versionId };
    const objects = this.#buckets.get(bucket);
    const object: StoredObject = { key, versions: [version, ...(objects?.get(key)?.versions ?? [])] };
    const name = createHash('sha256').update(key).digest('hex');
    writeWhole(join(this.#root, 'buckets', bucket, `${name}.json`), JSON.stringify(object));
    objects?.set(key, object);
    const event = { ...target, size, etag: version.etag, versionId, sequencer: this.#nextSequencer() };
    for (const listener of this.#listeners) listener(event);
    return version;
  }

  #nextSequencer(): string {
    this.#lastSequence = Math.max(this.#lastSequence + 1, this.#clock() * 1000);
    return this.#lastSequence.toString(16).toUpperCase().padStart(18, '0');
  }
}

function readIndex(folder: string): Map<string, StoredObject> {
  mkdirSync(folder, { recursive: true });
  const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
  const objects = files.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as StoredObject);
  return new Map(objects.map((object) => [object.key, object]));
}
