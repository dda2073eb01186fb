import { useMemo } from 'react';
import type { Progress, Rollout } from '../../../api/rollouts.ts';
import { Chart } from '../charts/index.ts';
import { counted } from '../text/format.ts';
import { Empty } from '../ui/loaded.tsx';
import { outcomeCurve } from './outcome-curve.ts';

interface OutcomesProps {
  readonly rollout: Rollout;
  readonly progress: Progress;
}

/** A chart of the cumulative outcomes. */
export function Outcomes({ rollout, progress: { outcomes, stages } }: OutcomesProps) {
  const end = rollout.completed_at ?? rollout.aborted_at ?? rollout.paused_at;
  const data = useMemo(() => {
    const began = stages[0]?.began_at ?? rollout.created_at;
    const { times, succeeded, failed } = outcomeCurve(outcomes, began, end ?? new Date().toISOString());
    return {
      times,
      series: [
        { label: 'failed', colour: '--bad-fill', values: failed },
        { label: 'succeeded', colour: '--ok-fill', values: succeeded },
      ],
    };
  }, [outcomes, stages, end, rollout.created_at]);
  if (outcomes.length === 0) return <Empty title="No outcome yet">The curve starts with the first outcome.</Empty>;
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
