/** Work that rejects when its signal is aborted. */
export type Task<T> = (signal: AbortSignal) => Promise<T>;

/**
 * Runs tasks concurrently. When the first one has finished, it aborts the others and waits for their end.
 * @returns the result of the first task to finish @throws its error
 */
export async function firstToFinish<T>(signal: AbortSignal, ...tasks: Task<T>[]): Promise<T> {
  const finished = new AbortController();
  const taskSignal = AbortSignal.any([signal, finished.signal]);
  const running = tasks.map((task) => task(taskSignal));
  try {
    return await Promise.race(running);
  } finally {
    finished.abort();
    await Promise.allSettled(running);
  }
}
