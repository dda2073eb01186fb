/** Time and timers. Tests replace it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back once after that many milliseconds. @returns a function that cancels the timer */
  after(ms: number, callback: () => void): () => void;
  /**
   * One Int32, shared with the threads of functions: seconds by which this clock is ahead of the machine's. Absent
   * means 0.
   */
  readonly ahead?: SharedArrayBuffer;
}

/** `setTimeout` fires immediately for a longer time. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: Date.now,
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(ms, MAX_TIMEOUT_MS));
    return () => clearTimeout(timer);
  },
};
