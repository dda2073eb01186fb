import type { Fetch } from '../../api/client.ts';
import { describeFailure } from './failure.ts';

const RESUMING_TRIES = 20;
const RESUMING_MS = 3_000;

/**
 * The same fetch, repeated while the database resumes, which takes up to half a minute. The service reports that state by
 * a 503 with problem details, before it does anything. A 503 without problem details is the gateway's; it is not
 * repeated, because the function may have run.
 * @param wait milliseconds
 */
export function retryWhileResuming(
  fetch: Fetch,
  wait: (ms: number) => Promise<unknown> = (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
): Fetch {
  return async (url, init) => {
    for (let left = RESUMING_TRIES; ; left--) {
      const response = await fetch(url, init);
      const isResuming = response.status === 503 && response.headers.get('content-type')?.includes('problem+json');
      if (!isResuming || left === 1) return response;
      if (left === RESUMING_TRIES) console.error('the database is resuming, one moment …');
      await wait(RESUMING_MS);
    }
  };
}

/** A watch that runs for hours survives a service that is away for some polls. */
const MAX_TRIES = 10;

/** Repeats a read that fails, and reports each failure on standard error. @throws the error of the last try */
export async function retryRead<T>(read: () => Promise<T>, waitMs: number): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await read();
    } catch (error) {
      if (tries === MAX_TRIES) throw error;
      console.error(`${describeFailure(error)[0]}; trying again`);
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }
}
