import type { Progress } from '../../../api/rollouts.ts';

export interface OutcomeCurve {
  /** Seconds since 1970. */
  readonly times: readonly number[];
  readonly succeeded: readonly number[];
  readonly failed: readonly number[];
}

/** The smallest share of the time axis that the last step takes. */
const LAST_STEP = 0.1;

/** Cumulative outcomes from the beginning of a rollout to its end, or to now. The time of a step is the end of its interval. */
export function outcomeCurve(outcomes: Progress['outcomes'], began: string, end: string): OutcomeCurve {
  const steps = [{ at: began, succeeded: 0, failed: 0 }, ...outcomes];
  const times = steps.map(({ at }) => seconds(at));
  const [first = 0, last = 0] = [times[0], times.at(-1)];
  const sums = (name: 'succeeded' | 'failed') => {
    let sum = 0;
    return steps.map((step) => {
      sum += step[name];
      return sum;
    });
  };
  const [succeeded, failed] = [sums('succeeded'), sums('failed')];
  const until = Math.max(seconds(end), last + LAST_STEP * (last - first));
  return { times: [...times, until], succeeded: withLast(succeeded), failed: withLast(failed) };
}

const seconds = (iso: string) => new Date(iso).getTime() / 1000;
const withLast = (values: readonly number[]) => [...values, values.at(-1) ?? 0];
