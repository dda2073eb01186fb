import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

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
  /** `null` in a bucket without versions. */
  readonly versionId: string;
  /** Absent in a delete marker. */
  readonly contentId?: string;
  readonly size: number;
  readonly etag: string;
  /** ISO 8601. */
  readonly lastModified: string;
}

export interface StoredObject {
  readonly key: string;
  /** Newest first. */
  readonly versions: readonly ObjectVersion[];
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

/** The bytes of a part, an object or a range. */
export type Range = { readonly start: number; readonly end: number };

/**
 * Buckets in a folder. Contents lie under random names, and each key's versions in a JSON file that is named by the
 * key's hash, so that no key, however hostile, is ever a path. Every file appears by a rename, whole.
 */
export class S3Store {
  readonly #root: string;
  readonly #clock: () => number;
  readonly #buckets = new Map<string, { readonly versioned: boolean; readonly objects: Map<string, StoredObject> }>();
  readonly #listeners: ((event: ObjectCreated) => void)[] = [];
  #writing: Promise<unknown> = Promise.resolve();
  #lastSequence = 0;

  private constructor(root: string, clock: () => number) {
    this.#root = root;
    this.#clock = clock;
  }

  /** Opens the store; `buckets` maps names to whether they keep versions. Leftovers of interrupted writes are removed. */
  static async open(
    root: string,
    buckets: Readonly<Record<string, { readonly versioned: boolean }>>,
    clock: () => number = Date.now,
  ): Promise<S3Store> {
    const store = new S3Store(root, clock);
    await rm(store.path('tmp'), { recursive: true, force: true });
    for (const folder of ['tmp', 'content', 'uploads']) await mkdir(store.path(folder), { recursive: true });
    for (const [name, { versioned }] of Object.entries(buckets)) {
      await mkdir(store.path('buckets', name), { recursive: true });
      store.#buckets.set(name, { versioned, objects: await readIndex(store.path('buckets', name)) });
    }
    await store.#removeUnreferenced();
    return store;
  }

  get buckets(): readonly string[] {
    return [...this.#buckets.keys()];
  }

  has(bucket: string): boolean {
    return this.#buckets.has(bucket);
  }

  /** Called once for every object that became visible, after it did. */
  onObjectCreated(listener: (event: ObjectCreated) => void): void {
    this.#listeners.push(listener);
  }

  /** Objects whose newest version is no delete marker, ordered by the UTF-8 of their keys. */
  list(bucket: string): StoredObject[] {
    return [...(this.#buckets.get(bucket)?.objects.values() ?? [])]
      .filter(({ versions }) => versions[0]?.contentId !== undefined)
      .sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
  }

  /** A version, the newest by default; a delete marker is a version without `contentId`. */
  find(bucket: string, key: string, versionId?: string): ObjectVersion | undefined {
    const versions = this.#versions(bucket, key);
    return versionId === undefined ? versions[0] : versions.find((version) => version.versionId === versionId);
  }

  read({ contentId }: ObjectVersion, range?: Range): Readable {
    return createReadStream(this.path('content', contentId ?? ''), range);
  }

  /** Writes bytes as they come. They are nobody's until {@link publish}. */
  async write(source: AsyncIterable<Uint8Array>): Promise<Content> {
    const contentId = randomUUID();
    const temporary = this.path('tmp', contentId);
    const md5 = createHash('md5');
    let size = 0;
    const measure = new Transform({
      transform(piece: Buffer, _encoding, done) {
        md5.update(piece);
        size += piece.length;
        done(null, piece);
      },
    });
    try {
      await pipeline(source, measure, createWriteStream(temporary));
      await rename(temporary, this.path('content', contentId));
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    return { contentId, size, md5: md5.digest('hex') };
  }

  async discard(content: Content): Promise<void> {
    await rm(this.path('content', content.contentId), { force: true });
  }

  /**
   * Makes content an object's newest version.
   *
   * @param check sees the version that would be superseded, with no other write in between; what it throws is thrown
   *   here, and the content is gone.
   */
  async publish(
    target: { readonly bucket: string; readonly key: string; readonly reason: ObjectCreated['reason'] },
    content: Content,
    attributes: ObjectAttributes & { readonly etag?: string },
    check: (current: ObjectVersion | undefined) => void = () => {},
  ): Promise<ObjectVersion> {
    const { bucket, key } = target;
    const { contentId, size, md5 } = content;
    const lastModified = new Date(this.#clock()).toISOString();
    const version = { etag: md5, ...attributes, contentId, size, lastModified, versionId: this.#newVersionId(bucket) };
    await this.#exclusively(async () => {
      const current = this.find(bucket, key);
      check(current?.contentId === undefined ? undefined : current);
      await this.#addVersion(bucket, key, version);
    }).catch(async (error: unknown) => {
      await this.discard(content);
      throw error;
    });
    const event = {
      ...target,
      size,
      etag: version.etag,
      versionId: version.versionId,
      sequencer: this.#nextSequencer(),
    };
    for (const listener of this.#listeners) listener(event);
    return version;
  }

  /** Removes one version for good, or, without a version id in a versioned bucket, covers the object with a marker. */
  async delete(bucket: string, key: string, versionId?: string): Promise<ObjectVersion | undefined> {
    return this.#exclusively(async () => {
      const versioned = this.#buckets.get(bucket)?.versioned === true;
      if (versionId === undefined && versioned) {
        const lastModified = new Date(this.#clock()).toISOString();
        const marker = {
          versionId: this.#newVersionId(bucket),
          size: 0,
          etag: '',
          lastModified,
          contentType: '',
          metadata: {},
        };
        await this.#addVersion(bucket, key, marker);
        return marker;
      }
      const removed = this.find(bucket, key, versionId);
      const kept = this.#versions(bucket, key).filter((version) => version !== removed);
      await this.#writeVersions(bucket, { key, versions: kept });
      if (removed?.contentId) await rm(this.path('content', removed.contentId), { force: true });
      return removed;
    });
  }

  /** A place inside the store's folder; only names that were made here may be given. */
  path(...names: string[]): string {
    return join(this.#root, ...names);
  }

  async #removeUnreferenced(): Promise<void> {
    const objects = [...this.#buckets.values()].flatMap((bucket) => [...bucket.objects.values()]);
    const used = new Set(objects.flatMap(({ versions }) => versions.map(({ contentId }) => contentId)));
    for (const name of await readdir(this.path('content'))) {
      if (!used.has(name)) await rm(this.path('content', name), { force: true });
    }
  }

  #versions(bucket: string, key: string): readonly ObjectVersion[] {
    return this.#buckets.get(bucket)?.objects.get(key)?.versions ?? [];
  }

  async #addVersion(bucket: string, key: string, version: ObjectVersion): Promise<void> {
    const older = this.#versions(bucket, key);
    const replaced = older.find(({ versionId }) => versionId === version.versionId);
    await this.#writeVersions(bucket, { key, versions: [version, ...older.filter((one) => one !== replaced)] });
    if (replaced?.contentId) await rm(this.path('content', replaced.contentId), { force: true });
  }

  async #writeVersions(bucket: string, object: StoredObject): Promise<void> {
    const file = this.path('buckets', bucket, `${createHash('sha256').update(object.key).digest('hex')}.json`);
    if (object.versions.length === 0) {
      await rm(file, { force: true });
      this.#buckets.get(bucket)?.objects.delete(object.key);
    } else {
      await writeAtomically(file, this.path('tmp', randomUUID()), JSON.stringify(object));
      this.#buckets.get(bucket)?.objects.set(object.key, object);
    }
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#writing.then(work);
    this.#writing = done.catch(() => {});
    return done;
  }

  #newVersionId(bucket: string): string {
    return this.#buckets.get(bucket)?.versioned ? randomBytes(24).toString('base64url') : 'null';
  }

  #nextSequencer(): string {
    this.#lastSequence = Math.max(this.#lastSequence + 1, this.#clock() * 1000);
    return this.#lastSequence.toString(16).toUpperCase().padStart(18, '0');
  }
}

async function readIndex(folder: string): Promise<Map<string, StoredObject>> {
  const objects = new Map<string, StoredObject>();
  for (const name of await readdir(folder)) {
    const object = JSON.parse(await readFile(join(folder, name), 'utf8')) as StoredObject;
    objects.set(object.key, object);
  }
  return objects;
}

/** A reader, and a crash, see the old file or the new one, never half of it. */
export async function writeAtomically(file: string, temporary: string, text: string): Promise<void> {
  await writeFile(temporary, text, { mode: 0o600 });
  await rename(temporary, file);
}
