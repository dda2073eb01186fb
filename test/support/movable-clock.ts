import { setTimeout as delay } from 'node:timers/promises';
import type { Clock as DeviceClock } from '../../fleet/clock.ts';
import { type Clock, systemClock } from '../../local/kernel/index.ts';

/** The time of the machine plus an offset that tests increase. Timers that become due by that fire immediately. */
export class MovableClock implements Clock, DeviceClock {
  readonly ahead = new SharedArrayBuffer(4);
  readonly #seconds = new Int32Array(this.ahead);
  readonly #due = new Map<() => void, number>();

  readonly now = () => Date.now() + (this.#seconds[0] ?? 0) * 1000;

  after(ms: number, callback: () => void): () => void {
    const once = () => {
      cancel();
      callback();
    };
    const stop = systemClock.after(ms, once);
    const cancel = () => {
      stop();
      this.#due.delete(once);
    };
    this.#due.set(once, this.now() + ms);
    return cancel;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const abort = () => {
        cancel();
        reject(signal?.reason);
      };
      const cancel = this.after(ms, () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      });
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** Advances the time, and fires the timers that become due in order. Promises that are resolved settle between them. */
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
