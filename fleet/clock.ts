import { setTimeout as delay } from 'node:timers/promises';

/** The only time a virtual device knows: tests drive it by hand, a demonstration runs it faster than life. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Resolves when `ms` of this clock have passed; rejects with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/**
 * A clock that starts at the present and runs `factor` times as fast as the wall clock.
 * MQTT keep-alives and socket timeouts stay in real time, because the broker's do.
 */
export function scaledClock(factor = 1): Clock {
  const startedAt = Date.now();
  return {
    now: () => startedAt + (Date.now() - startedAt) * factor,
    sleep: (ms, signal) => delay(ms / factor, undefined, signal === undefined ? {} : { signal }),
  };
}
