import type { Clock } from '../../../local/kernel/index.ts';

/** A clock that stands still until a test moves it. */
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

  /** Moves on, calls back whoever is due on the way, in order, and lets them settle what is already resolved. */
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
