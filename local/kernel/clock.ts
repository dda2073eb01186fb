/** Time, and what is to happen later; tests bring their own. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back once, after that many milliseconds. @returns what calls it off */
  after(ms: number, callback: () => void): () => void;
  /** One Int32, shared with the threads of functions: seconds that this clock is ahead of the machine's. Absent: none. */
  readonly ahead?: SharedArrayBuffer;
}

/** Above this, `setTimeout` fires at once. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: Date.now,
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(ms, LONGEST_TIMEOUT_MS));
    return () => clearTimeout(timer);
  },
};
