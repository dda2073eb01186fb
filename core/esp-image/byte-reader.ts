/** Sees every byte of the file once, in order. */
export type Observer = (chunk: Buffer, offset: number) => void;

/** Reads a stream in the pieces that a format has, with no more in memory than the piece that is asked for. */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #observers: Observer[] = [];
  readonly #limit: number;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #received = 0;
  #ended = false;
  /** Of the next byte that will be taken. */
  offset = 0;

  /** @param limit bytes after which the stream counts as ended, whatever it still holds */
  constructor(chunks: AsyncIterable<Uint8Array>, limit: number) {
    this.#source = chunks[Symbol.asyncIterator]();
    this.#limit = limit;
  }

  observe(observer: Observer): void {
    this.#observers.push(observer);
  }

  /** The next bytes, at most `count`, without taking them. */
  async peek(count: number): Promise<Buffer> {
    while (this.#pendingBytes < count && (await this.#fetch()));
    const joined = this.#pending.length === 1 ? (this.#pending[0] as Buffer) : Buffer.concat(this.#pending);
    if (this.#pending.length > 1) this.#pending = [joined];
    return joined.subarray(0, count);
  }

  /** The next `count` bytes; fewer only at the end of the file. */
  async take(count: number): Promise<Buffer> {
    const bytes = Buffer.from(await this.peek(count));
    await this.each(bytes.length, () => {});
    return bytes;
  }

  /** Passes the next `count` bytes on as they come. @returns how many there were */
  async each(count: number, pass: (chunk: Buffer) => void): Promise<number> {
    let left = count;
    while (left > 0 && (this.#pendingBytes > 0 || (await this.#fetch()))) {
      const [next = Buffer.alloc(0), ...others] = this.#pending;
      const chunk = next.subarray(0, left);
      this.#pending = chunk.length < next.length ? [next.subarray(chunk.length), ...others] : others;
      this.#pendingBytes -= chunk.length;
      for (const observer of this.#observers) observer(chunk, this.offset);
      pass(chunk);
      this.offset += chunk.length;
      left -= chunk.length;
    }
    return count - left;
  }

  async #fetch(): Promise<boolean> {
    if (this.#ended) return false;
    const { done, value } = await this.#source.next();
    if (done || value === undefined || this.#received >= this.#limit) {
      this.#ended = true;
      return false;
    }
    const chunk = Buffer.from(value.buffer, value.byteOffset, Math.min(value.byteLength, this.#limit - this.#received));
    this.#received += chunk.length;
    this.#pendingBytes += chunk.length;
    this.#pending.push(chunk);
    return true;
  }
}
