import { EventEmitter, once } from 'node:events';
import type { Clock } from '../../fleet/clock.ts';

interface Sleeper {
  readonly wakesAt: number;
  readonly wake: () => void;
}

/** A clock that advances only by calls of a test. */
export class TestClock implements Clock {
  private time = Date.UTC(2026, 0, 1);
  private sleepers: Sleeper[] = [];
  private readonly changes = new EventEmitter();

  now(): number {
    return this.time;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const sleeper = { wakesAt: this.time + ms, wake: resolve };
      this.sleepers.push(sleeper);
      signal?.addEventListener('abort', () => {
        this.sleepers = this.sleepers.filter((other) => other !== sleeper);
        reject(signal.reason);
      });
      this.changes.emit('sleeper');
    });
  }

  /** Advances the time immediately and ends the sleeps that are due. */
  advance(ms: number): void {
    this.time += ms;
    const due = this.sleepers.filter(({ wakesAt }) => wakesAt <= this.time);
    this.sleepers = this.sleepers.filter((sleeper) => !due.includes(sleeper));
    for (const { wake } of due) wake();
  }

  /** Waits for a sleep of at most this time, then advances the clock by that time. */
  async letPass(ms: number): Promise<void> {
    while (!this.sleepers.some(({ wakesAt }) => wakesAt <= this.time + ms)) await once(this.changes, 'sleeper');
    this.advance(ms);
  }
}

/** A clock on which every sleep ends immediately but advances the time. */
export function hastyClock(): Clock {
  let time = Date.UTC(2026, 0, 1);
  return {
    now: () => time,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      time += ms;
    },
  };
}
