import { setTimeout as delay } from 'node:timers/promises';

/** The time of a virtual device. Tests advance it by hand, and a demonstration can run it faster than real time. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Resolves after `ms` of this clock. Rejects with the signal's reason if the signal is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/**
 * A clock that starts at the current time and runs `factor` times as fast as the wall clock. MQTT keep-alives and socket
 * timeouts use real time, because those of the broker do.
 */
export function scaledClock(factor = 1): Clock {
  const startedAt = Date.now();
  return {
    now: () => startedAt + (Date.now() - startedAt) * factor,
    sleep: (ms, signal) => delay(ms / factor, undefined, signal === undefined ? {} : { signal }),
  };
}
