/** Receives every byte of the file once, in order, as it is taken. */
export type Observer = (chunk: Buffer, offset: number) => void;

/** Size of the buffer in bytes: more than any peek, and large enough that tiny chunks cost little. */
const CAPACITY = 80 * 1024;

/**
 * Reads a stream in pieces of the sizes that a format asks for. Uses one buffer of fixed size, however large the file
 * and its chunks are, and keeps no reference to a chunk after the next one arrives.
 */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #observers: Observer[] = [];
  readonly #limit: number;
  readonly #buffer = Buffer.alloc(CAPACITY);
  #start = 0;
  #end = 0;
  #carry: Buffer = Buffer.alloc(0);
  #received = 0;
  #ended = false;
  /** Offset of the next byte to take. */
  offset = 0;
  /** True if the stream held more bytes than the limit; reading stopped there. */
  overflowed = false;

  /** @param limit bytes after which reading stops, even if the stream holds more */
  constructor(chunks: AsyncIterable<Uint8Array>, limit: number) {
    this.#source = chunks[Symbol.asyncIterator]();
    this.#limit = limit;
  }

  observe(observer: Observer): void {
    this.#observers.push(observer);
  }

  /** Copies the next bytes without taking them: `count` (at most 16 KiB), or fewer at the end of the file. */
  async peek(count: number): Promise<Buffer> {
    if (this.#end - this.#start < count) await this.#fill();
    return Buffer.from(this.#buffer.subarray(this.#start, Math.min(this.#end, this.#start + count)));
  }

  /** Takes the next `count` bytes, or fewer at the end of the file. */
  async take(count: number): Promise<Buffer> {
    const bytes = await this.peek(count);
    await this.each(bytes.length, () => {});
    return bytes;
  }

  /**
   * Passes the next `count` bytes on in chunks, each valid only during the call.
   * @returns the number of bytes passed
   */
  async each(count: number, pass: (chunk: Buffer) => void): Promise<number> {
    let left = count;
    while (left > 0) {
      if (this.#start === this.#end) await this.#fill();
      if (this.#start === this.#end) break;
      const chunk = this.#buffer.subarray(this.#start, Math.min(this.#end, this.#start + left));
      for (const observer of this.#observers) observer(chunk, this.offset);
      pass(chunk);
      this.#start += chunk.length;
      this.offset += chunk.length;
      left -= chunk.length;
    }
    return count - left;
  }

  /** Takes the remaining bytes, so that the observers receive the whole file. */
  async drain(): Promise<void> {
    await this.each(Number.POSITIVE_INFINITY, () => {});
  }

  async #fill(): Promise<void> {
    this.#buffer.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    while (!this.#ended && this.#end < CAPACITY) await this.#append();
  }

  async #append(): Promise<void> {
    if (this.#carry.length === 0) await this.#next();
    const copied = this.#carry.copy(this.#buffer, this.#end);
    this.#end += copied;
    this.#carry = this.#carry.subarray(copied);
    if (this.overflowed && this.#carry.length === 0) this.#ended = true;
  }

  async #next(): Promise<void> {
    const { done, value } = await this.#source.next();
    if (done) {
      this.#ended = true;
      return;
    }
    const allowed = this.#limit - this.#received;
    this.#carry = Buffer.from(value.buffer, value.byteOffset, Math.min(value.byteLength, allowed));
    this.#received += this.#carry.length;
    if (value.byteLength <= allowed) return;
    this.overflowed = true;
    await this.#source.return?.();
  }
}
