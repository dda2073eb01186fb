import type { Progress, Rollout } from '../../../api/rollouts.ts';
import { counted } from '../format.ts';
import { countsOf, OutcomeBar } from '../parts/bar.tsx';
import { Ago } from '../parts/bits.tsx';

interface StagesProps {
  readonly rollout: Rollout;
  readonly progress: Progress;
}

/** A bar for each stage that has begun, and what is still planned. */
export function Stages({ rollout, progress: { stages } }: StagesProps) {
  if (rollout.stages === null || rollout.stages.length === 0) return <OneBar {...{ rollout, stages }} />;
  const planned = rollout.stages.slice(stages.length);
  const restFollows = stages.length <= rollout.stages.length;
  return (
    <ol className="stages">
      {stages.map((stage, index) => {
        const added = stage.size - (stages[index - 1]?.size ?? 0);
        return (
          <li key={stage.stage}>
            <p>
              <strong>{nameOf(rollout, index)}</strong> {counted(added, 'device')}, began <Ago at={stage.began_at} />
              {stage.ended_at !== null && (
                <>
                  , ended <Ago at={stage.ended_at} />
                </>
              )}
            </p>
            <OutcomeBar counts={countsOf(stage.states)} of={added} legend />
          </li>
        );
      })}
      {planned.map((_, index) => (
        <li key={nameOf(rollout, stages.length + index)} className="planned">
          <p>
            <strong>{nameOf(rollout, stages.length + index)}</strong> not begun
          </p>
        </li>
      ))}
      {restFollows && (
        <li className="planned">
          <p>
            <strong>Everyone else</strong> follows after the last stage
          </p>
        </li>
      )}
    </ol>
  );
}

function nameOf({ stages }: Rollout, index: number): string {
  const stage = stages?.[index];
  if (stage === undefined) return 'Everyone else:';
  const reach = stage.percentage === undefined ? counted(stage.count ?? 0, 'device') : `${stage.percentage} %`;
  return `Stage ${index + 1}, up to ${reach}:`;
}

function OneBar({ rollout, stages }: { readonly rollout: Rollout; readonly stages: Progress['stages'] }) {
  const last = stages.at(-1);
  return (
    <div className="stages">
      <OutcomeBar counts={rollout} of={rollout.devices} legend />
      <p className="muted">
        {counted(rollout.devices, 'device')} so far.{' '}
        {rollout.stages === null &&
          last !== undefined &&
          `Slow start: window ${last.stage + 1} let ${counted(last.size, 'more device')} begin.`}
        {rollout.stages !== null && 'Everyone at once.'}
      </p>
    </div>
  );
}
