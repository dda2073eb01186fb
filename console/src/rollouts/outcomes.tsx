import { useMemo } from 'react';
import type { Progress, Rollout } from '../../../api/rollouts.ts';
import { Chart } from '../charts/chart.tsx';
import { counted } from '../format.ts';
import { Empty } from '../parts/loaded.tsx';

interface OutcomesProps {
  readonly rollout: Rollout;
  readonly progress: Progress;
}

/** Outcomes as they added up. */
export function Outcomes({ rollout, progress: { outcomes, stages } }: OutcomesProps) {
  const end = rollout.completed_at ?? rollout.aborted_at ?? rollout.paused_at;
  const data = useMemo(() => {
    const began = stages[0]?.began_at ?? rollout.created_at;
    const steps = [{ at: began, succeeded: 0, failed: 0 }, ...outcomes];
    const last = end ?? new Date().toISOString();
    if (last > (steps.at(-1)?.at ?? '')) steps.push({ at: last, succeeded: 0, failed: 0 });
    const add = (name: 'succeeded' | 'failed') => {
      let sum = 0;
      return steps.map((step) => {
        sum += step[name];
        return sum;
      });
    };
    return {
      times: steps.map(({ at }) => new Date(at).getTime() / 1000),
      series: [
        { label: 'failed', colour: '--bad-fill', values: add('failed') },
        { label: 'succeeded', colour: '--ok-fill', values: add('succeeded') },
      ],
    };
  }, [outcomes, stages, end, rollout.created_at]);
  if (outcomes.length === 0) return <Empty title="No outcome yet">The first device to end makes this a curve.</Empty>;
  return (
    <>
      <Chart
        label={`Outcomes over time: ${counted(rollout.succeeded, 'device')} succeeded, ${rollout.failed} failed`}
        {...data}
        height={180}
      />
      <ul className="legend" aria-hidden="true">
        <li>
          <i className="succeeded" />
          succeeded
        </li>
        <li>
          <i className="failed" />
          failed
        </li>
      </ul>
    </>
  );
}
