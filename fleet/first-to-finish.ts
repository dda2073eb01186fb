/** Work that ends early, by rejecting, when its signal is aborted. */
export type Task<T> = (signal: AbortSignal) => Promise<T>;

/**
 * Runs tasks side by side, gives what the first to finish gives (or throws what it throws), and returns only when
 * the others, whose signal is aborted then, have wound down.
 */
export async function firstToFinish<T>(signal: AbortSignal, ...tasks: Task<T>[]): Promise<T> {
  const finished = new AbortController();
  const either = AbortSignal.any([signal, finished.signal]);
  const running = tasks.map((task) => task(either));
  try {
    return await Promise.race(running);
  } finally {
    finished.abort();
    await Promise.allSettled(running);
  }
}
