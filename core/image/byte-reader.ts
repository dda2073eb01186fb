/** Sees every byte of the file once, in order, as it is taken. */
export type Observer = (chunk: Buffer, offset: number) => void;

/** Held at most of the file: more than any peek, and large enough that tiny chunks cost little. */
const CAPACITY = 80 * 1024;

/**
 * Reads a stream in the pieces that a format has. It holds one fixed buffer, however large the file is and however it
 * is cut into chunks, and keeps no reference to a chunk past the next one.
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
  /** Of the next byte that will be taken. */
  offset = 0;
  /** The stream held more bytes than the limit; it was left there. */
  overflowed = false;

  /** @param limit bytes after which the stream is left, whatever it still holds */
  constructor(chunks: AsyncIterable<Uint8Array>, limit: number) {
    this.#source = chunks[Symbol.asyncIterator]();
    this.#limit = limit;
  }

  observe(observer: Observer): void {
    this.#observers.push(observer);
  }

  /** A copy of the next bytes, at most `count` (up to 16 KiB), without taking them; fewer only at the end of the file. */
  async peek(count: number): Promise<Buffer> {
    if (this.#end - this.#start < count) await this.#fill();
    return Buffer.from(this.#buffer.subarray(this.#start, Math.min(this.#end, this.#start + count)));
  }

  /** The next `count` bytes; fewer only at the end of the file. */
  async take(count: number): Promise<Buffer> {
    const bytes = await this.peek(count);
    await this.each(bytes.length, () => {});
    return bytes;
  }

  /** Passes the next `count` bytes on as they come; a chunk is valid only during the call. @returns how many there were */
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

  /** Takes what is left, so that the observers have seen the whole file. */
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
