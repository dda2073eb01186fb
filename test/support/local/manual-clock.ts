import type { Clock } from '../../../local/kernel/index.ts';

/** A clock that advances only by calls of a test. */
export class ManualClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  readonly #due = new Map<() => void, number>();

  now(): number {
    return this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const once = () => callback();
    this.#due.set(once, this.#now + ms);
    return () => this.#due.delete(once);
  }

  /**
   * Advances the time, and calls the callbacks that become due in order. Promises that are resolved settle between
   * them.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      const [next] = [...this.#due].sort(([, a], [, b]) => a - b);
      if (next === undefined || next[1] > end) break;
      this.#due.delete(next[0]);
      this.#now = next[1];
      next[0]();
      await new Promise(setImmediate);
    }
    this.#now = end;
    await new Promise(setImmediate);
  }
}
