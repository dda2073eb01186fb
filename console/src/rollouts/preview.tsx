import type { Preview } from '../../../api/rollouts.ts';
import { Warnings } from '../releases/index.ts';
import { count, counted } from '../text/format.ts';

interface PreviewResultProps {
  readonly preview: Preview;
  /** `rollout_percentage`, 1 to 100. */
  readonly percentage: number;
  /** Shown when no device matches. */
  readonly noneText: string;
}

/** How many devices would be updated, how many would not, and why. */
export function PreviewResult({ preview, percentage, noneText }: PreviewResultProps) {
  const { matching, targeted, will_be_updated: updated, will_not: not, set_apart: setApart, warnings } = preview;
  const { held_by_others: busy, held } = preview;
  const isSaved = preview.stages.some((stage) => stage.will_be_updated !== null);
  const exceptions = preview.excluded > 0 && (
    <p>
      {counted(preview.excluded, 'device')} that would match {preview.excluded === 1 ? 'is' : 'are'} excluded.
    </p>
  );
  if (matching === 0) {
    return (
      <>
        <p className="preview-figure">{noneText}</p>
        {exceptions}
      </>
    );
  }
  return (
    <>
      <p className="preview-figure">
        <strong>{count(updated)}</strong> of {counted(matching, 'device')} would be updated
      </p>
      {exceptions}
      {percentage < 100 && (
        <p>
          {counted(targeted, 'device')} take part ({percentage}%), chosen by their ids
          {isSaved ? '.' : '; how many of them are among those that would be updated shows when it is saved.'}
        </p>
      )}
      <SteppingStones preview={preview} />
      <PlannedStages preview={preview} />
      <FirstStage preview={preview} />
      <Warnings of={warnings} />
      {setApart > 0 && (
        <p>
          {counted(setApart, 'device')} of those that would failed in the last rollout, which others finished: sent
          last, and not counted in the gates.
        </p>
      )}
      {held.map(({ reason, devices }) => (
        <p key={reason}>
          {counted(devices, 'device')} of those that would {devices === 1 ? 'waits' : 'wait'}: {reason}.
        </p>
      ))}
      {busy.map(({ rollout, status, devices }) => (
        <p key={`${rollout} ${status}`}>
          {counted(devices, 'device')} of those that would {devices === 1 ? 'is' : 'are'}{' '}
          {status === 'pending' ? 'to be updated' : 'being updated'} by “{rollout}”:{' '}
          {status === 'pending' ? 'this one takes them over.' : 'this one waits for them.'}
        </p>
      ))}
      {not.length > 0 && (
        <>
          <h3>Not eligible</h3>
          <ul className="reasons">
            {not.map(({ reason, devices }) => (
              <li key={reason}>
                <span className="reason-bar" style={{ width: `${(devices / matching) * 100}%` }} aria-hidden="true" />
                <span>{reason}</span>
                <span className="number">{count(devices)}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

/** The releases by which older devices reach the target; the rollout keeps them, whatever is uploaded later. */
function SteppingStones({ preview }: { readonly preview: Preview }) {
  const { stepping_stones: steps, via_stepping_stone: devices } = preview;
  if (steps.length === 0) return null;
  return (
    <p>
      Stepping stones for older devices:{' '}
      {steps.map((step) => `${step.version} (${counted(step.devices, 'device')} next)`).join(', ')}.
      {devices === 0 && ' No device needs one now.'}
    </p>
  );
}

/** How the first stage covers the values of the names that the rollout gives. */
function FirstStage({ preview: { first_stage_covers: names } }: { readonly preview: Preview }) {
  if (names.length === 0) return null;
  const parts = names.map(({ name, values, covered }) => `${count(covered)} of ${counted(values, 'value')} of ${name}`);
  return <p>The first stage covers {parts.join(', ')}.</p>;
}

/** How many devices each stage adds, if there is more than one. */
function PlannedStages({ preview: { stages } }: { readonly preview: Preview }) {
  if (stages.length < 2) return null;
  return (
    <ol className="reasons">
      {stages.map(({ devices, will_be_updated: updated }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a stage has no other identity than its place.
        <li key={index}>
          <span>
            Stage {index + 1}: {counted(devices, 'device')}
            {updated !== null && `, ${count(updated)} of them would be updated`}
          </span>
        </li>
      ))}
    </ol>
  );
}
