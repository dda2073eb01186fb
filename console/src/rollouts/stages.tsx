import type { Progress, Rollout } from '../../../api/rollouts.ts';
import { counted } from '../format.ts';
import { countsOf, OutcomeBar } from '../parts/bar.tsx';
import { Ago } from '../parts/bits.tsx';

type Stage = Progress['stages'][number];

interface StagesProps {
  readonly rollout: Rollout;
  readonly progress: Progress;
}

/** A bar for each stage that has begun, and what is still planned. */
export function Stages({ rollout, progress: { stages } }: StagesProps) {
  if (rollout.stages === null) return <SlowStart rollout={rollout} windows={stages} />;
  if (rollout.stages.length === 0) return <OutcomeBar counts={rollout} of={rollout.devices} legend />;
  const isRestPlanned = stages.length <= rollout.stages.length;
  return (
    <ol className="stages">
      {stages.map((stage, index) => {
        const added = stage.size - (stages[index - 1]?.size ?? 0);
        return (
          <li key={stage.stage}>
            <p>
              <strong>{nameOf(rollout, index)}</strong> {counted(added, 'device')}, <Times of={stage} />
            </p>
            <OutcomeBar counts={countsOf(stage.states)} of={added} legend />
          </li>
        );
      })}
      {rollout.stages.slice(stages.length).map((plan, index) => (
        <li key={nameOf(rollout, stages.length + index)} className="planned">
          <strong>{nameOf(rollout, stages.length + index)}</strong> not begun; {describePlan(plan)}
        </li>
      ))}
      {isRestPlanned && (
        <li className="planned">
          <strong>Everyone else</strong> follows after the last stage
        </li>
      )}
    </ol>
  );
}

function Times({ of: { began_at: began, ended_at: ended } }: { readonly of: Stage }) {
  return (
    <span className="muted">
      began <Ago at={began} />
      {ended !== null && (
        <>
          , ended <Ago at={ended} />
        </>
      )}
    </span>
  );
}

function nameOf({ stages }: Rollout, index: number): string {
  const stage = stages?.[index];
  if (stage === undefined) return 'Everyone else:';
  const reach = stage.percentage === undefined ? counted(stage.count ?? 0, 'device') : `${stage.percentage} %`;
  return `Stage ${index + 1}, up to ${reach}:`;
}

function describePlan({ soak_minutes: soak = 0, min_success_rate: rate }: NonNullable<Rollout['stages']>[number]) {
  const rest = soak === 0 ? 'goes on without a rest' : `rests ${soak} min`;
  return rate === undefined ? rest : `${rest}, and goes on from ${Number((rate * 100).toFixed(2))} % success`;
}

/** Windows that grow while it goes well; who has not begun waits in none of them. */
function SlowStart({ rollout, windows }: { readonly rollout: Rollout; readonly windows: readonly Stage[] }) {
  return (
    <div className="stages">
      <OutcomeBar counts={rollout} of={rollout.devices} legend />
      <ol className="windows">
        {windows.map((window) => (
          <li key={window.stage}>
            <span>Window {window.stage + 1}</span>
            <OutcomeBar counts={{ ...countsOf(window.states), owed: 0 }} of={window.size} />
            <span>{counted(window.size, 'device')}</span>
            <Times of={window} />
          </li>
        ))}
      </ol>
    </div>
  );
}
