import { describeFailure } from './failure.ts';

/** Somebody watches for hours: a call that fails is tried again so often. */
const PATIENCE = 10;

/** What a call gives that is tried again some times, with a word on standard error. @throws what it failed with at last */
export async function patiently<T>(read: () => Promise<T>, waitMs: number): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await read();
    } catch (error) {
      if (tries === PATIENCE) throw error;
      console.error(`${describeFailure(error)[0]}; trying again`);
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }
}
