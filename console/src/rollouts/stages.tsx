import type { Progress, Rollout } from '../../../api/rollouts.ts';
import { count, counted } from '../text/format.ts';
import { countsOf, OutcomeBar, totalOf } from '../ui/bar.tsx';
import { Ago } from '../ui/components.tsx';

type Stage = Progress['stages'][number];

interface StagesProps {
  readonly rollout: Rollout;
  readonly progress: Progress;
}

/** A bar for each stage that has begun, and a line for each planned stage. */
export function Stages({ rollout, progress: { stages } }: StagesProps) {
  const hasNoDevice = stages.length > 0 && stages.every(({ size }) => size === 0) && rollout.devices === 0;
  if (hasNoDevice) return <p className="calm">No device matches its targets.</p>;
  if (rollout.stages === null) return <SlowStart rollout={rollout} waves={stages} />;
  if (rollout.stages.length === 0) return <OutcomeBar counts={rollout} of={rollout.devices} legend />;
  const isRemainderPlanned = stages.length <= rollout.stages.length && rollout.stages.at(-1)?.percentage !== 100;
  return (
    <ol className="stages">
      {stages.map((stage, index) => {
        // Devices that joined later were not counted when the stage began, so its counts may exceed its size.
        const added = Math.max(stage.size - (stages[index - 1]?.size ?? 0), totalOf(countsOf(stage.states)));
        return (
          <li key={stage.stage}>
            <p>
              <strong>{nameOf(rollout, index)}</strong> {added === 0 ? 'nobody' : counted(added, 'device')},{' '}
              <Times of={stage} />
            </p>
            {added > 0 && <OutcomeBar counts={countsOf(stage.states)} of={added} legend />}
          </li>
        );
      })}
      {rollout.stages.slice(stages.length).map((plan, index) => (
        <li key={nameOf(rollout, stages.length + index)} className="planned">
          <strong>{nameOf(rollout, stages.length + index)}</strong> not begun; {describePlan(plan)}
        </li>
      ))}
      {isRemainderPlanned && (
        <li className="planned">
          <strong>Remaining devices</strong> follow after the last stage
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
  if (stage === undefined) return 'Remaining devices:';
  if (stage.group !== undefined) return `Stage ${index + 1}, group ${stage.group}:`;
  const reach = stage.percentage === undefined ? counted(stage.count ?? 0, 'device') : `${stage.percentage}%`;
  return `Stage ${index + 1}, up to ${reach}:`;
}

function describePlan({
  soak_minutes: soak = 0,
  min_success_rate: rate,
  until,
}: NonNullable<Rollout['stages']>[number]) {
  return [
    soak === 0 ? 'no soak' : `soak ${soak} min`,
    ...(rate === undefined ? [] : [`success rate at least ${Number((rate * 100).toFixed(2))}%`]),
    ...(until === undefined ? [] : [`until ${until}`]),
  ].join(', ');
}

/** The waves of a slow start, which grow while devices succeed. A pending device belongs to no wave. */
function SlowStart({ rollout, waves }: { readonly rollout: Rollout; readonly waves: readonly Stage[] }) {
  return (
    <div className="stages">
      <OutcomeBar counts={rollout} of={rollout.devices} legend />
      <ol className="waves">
        {waves.map((wave) => (
          <Wave key={wave.stage} wave={wave} />
        ))}
      </ol>
    </div>
  );
}

/** The devices that began in a wave: fewer than its size while it is running, more when a rollout was resumed after a halt. */
function Wave({ wave }: { readonly wave: Stage }) {
  const counts = { ...countsOf(wave.states), pending: 0 };
  const begun = totalOf(counts);
  const text = begun < wave.size ? `${count(begun)} of ${counted(wave.size, 'device')}` : counted(begun, 'device');
  return (
    <li>
      <span>Wave {wave.stage + 1}</span>
      <OutcomeBar counts={counts} of={wave.size} />
      <span>{begun === 0 ? 'none yet' : text}</span>
      <Times of={wave} />
    </li>
  );
}
