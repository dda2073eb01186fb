import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { writeFileAtomically } from '../../kernel/index.ts';

/** Bytes that were written but are not yet an object. */
export interface Content {
  readonly contentId: string;
  readonly size: number;
  readonly md5: string;
}

/** Properties of an object that its writer chooses. */
export interface ObjectAttributes {
  readonly contentType: string;
  /** `x-amz-meta-*` headers without the prefix. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Tags as in the header `x-amz-tagging`; absent without any. */
  readonly tagging?: string;
}

export interface ObjectVersion extends ObjectAttributes {
  readonly versionId: string;
  readonly contentId: string;
  readonly size: number;
  readonly etag: string;
  /** In ISO 8601. */
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
  /** Hexadecimal. Later events of the same key have greater values. */
  readonly sequencer: string;
  readonly reason: 'PutObject' | 'CopyObject' | 'CompleteMultipartUpload';
  /** Account of the caller. */
  readonly requester: string;
  /** IP address of the caller. */
  readonly sourceIp: string;
}

/**
 * The event `Object Created` as S3 sends it to EventBridge. The key is not URL-encoded, unlike in S3's own notifications.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
 */
export function objectCreatedEvent(created: ObjectCreated) {
  const { bucket, key, size, etag, versionId, sequencer, reason, requester, sourceIp } = created;
  const object = { key, size, etag, 'version-id': versionId, sequencer };
  return {
    source: 'aws.s3',
    'detail-type': 'Object Created',
    detail: { version: '0', bucket: { name: bucket }, object, requester, 'source-ip-address': sourceIp, reason },
  };
}

/** First and last byte, both included. */
export type Range = { readonly start: number; readonly end: number };

/**
 * Versioned buckets in a folder. Contents have random file names, and the versions of a key are in a JSON file that is
 * named by the hash of the key, so a hostile key never becomes a path.
 */
export class S3Store {
  readonly #root: string;
  readonly #clock: () => number;
  readonly #buckets = new Map<string, Map<string, StoredObject>>();
  readonly #listeners: ((event: ObjectCreated) => void)[] = [];
  #lastSequence = 0;

  /** Opens the store, and removes the remains of interrupted writes. */
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

  /** Adds a listener that is called once for each new version, after it is visible. */
  onObjectCreated(listener: (event: ObjectCreated) => void): void {
    this.#listeners.push(listener);
  }

  /** All objects, in the order of the UTF-8 bytes of their keys. */
  list(bucket: string): StoredObject[] {
    const objects = [...(this.#buckets.get(bucket)?.values() ?? [])];
    return objects.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
  }

  /** A version of an object, by default the newest. */
  find(bucket: string, key: string, versionId?: string): ObjectVersion | undefined {
    const versions = this.#buckets.get(bucket)?.get(key)?.versions ?? [];
    return versions.find((version) => versionId === undefined || version.versionId === versionId);
  }

  read({ contentId }: Pick<Content, 'contentId'>, range?: Range): Readable {
    return createReadStream(join(this.#root, 'content', contentId), range);
  }

  /** Writes bytes as they arrive. They belong to no object until {@link publish}. */
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

  /** Deletes content that will not be published. */
  discard({ contentId }: Pick<Content, 'contentId'>): void {
    rmSync(join(this.#root, 'content', contentId), { force: true });
  }

  /** Makes content the newest version of an object. The ETag is the MD5 unless the attributes contain one. */
  publish(
    target: Pick<ObjectCreated, 'bucket' | 'key' | 'reason' | 'requester' | 'sourceIp'>,
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
    writeFileAtomically(join(this.#root, 'buckets', bucket, `${name}.json`), JSON.stringify(object));
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
