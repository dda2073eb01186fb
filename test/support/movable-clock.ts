import { setTimeout as delay } from 'node:timers/promises';
import type { Clock as DeviceClock } from '../../fleet/clock.ts';
import { type Clock, systemClock } from '../../local/kernel/index.ts';

/** The machine's time, moved ahead as far as a test says; what was to happen meanwhile happens at once. */
export class MovableClock implements Clock, DeviceClock {
  readonly ahead = new SharedArrayBuffer(4);
  readonly #seconds = new Int32Array(this.ahead);
  readonly #due = new Map<() => void, number>();

  readonly now = () => Date.now() + (this.#seconds[0] ?? 0) * 1000;

  after(ms: number, callback: () => void): () => void {
    const once = () => {
      callOff();
      callback();
    };
    const stop = systemClock.after(ms, once);
    const callOff = () => {
      stop();
      this.#due.delete(once);
    };
    this.#due.set(once, this.now() + ms);
    return callOff;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const giveUp = () => {
        callOff();
        reject(signal?.reason);
      };
      const callOff = this.after(ms, () => {
        signal?.removeEventListener('abort', giveUp);
        resolve();
      });
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** Calls back who is due on the way, in order; each has done what it can without waiting before the next is called. */
  async advance(seconds: number): Promise<void> {
    this.#seconds[0] = (this.#seconds[0] ?? 0) + seconds;
    for (;;) {
      const [first] = [...this.#due].sort(([, a], [, b]) => a - b);
      if (first === undefined || first[1] > this.now()) return;
      first[0]();
      await delay(0);
    }
  }
}
