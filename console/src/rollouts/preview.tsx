import type { Preview } from '../../../api/rollouts.ts';
import { Warnings } from '../releases/index.ts';
import { count, counted } from '../text/format.ts';

interface PreviewResultProps {
  readonly preview: Preview;
  /** `rollout_percentage`, 1 to 100. */
  readonly percentage: number;
  /** Shown when no device matches. */
  readonly nobody: string;
}

/** How many devices would be updated, how many would not, and why. */
export function PreviewResult({ preview, percentage, nobody }: PreviewResultProps) {
  const { matching, targeted, will_be_updated: updated, via_stepping_stone: stone, will_not: not, warnings } = preview;
  const held = preview.held_by_others;
  if (matching === 0) return <p className="preview-figure">{nobody}</p>;
  return (
    <>
      <p className="preview-figure">
        <strong>{count(updated)}</strong> of {counted(matching, 'device')} would be updated
      </p>
      {percentage < 100 && (
        <p>
          {counted(targeted, 'device')} take part ({percentage} %), chosen by their ids; how many of them are among
          those that would be updated shows when it starts.
        </p>
      )}
      {stone > 0 && <p>{counted(stone, 'device')} by way of a release in between.</p>}
      <Warnings of={warnings} />
      {held.map(({ rollout, status, devices }) => (
        <p key={`${rollout} ${status}`}>
          {counted(devices, 'device')} of those that would {devices === 1 ? 'is' : 'are'}{' '}
          {status === 'pending' ? 'to be updated' : 'being updated'} by “{rollout}”:{' '}
          {status === 'pending' ? 'this one takes them over.' : 'this one waits for them.'}
        </p>
      ))}
      {not.length > 0 && (
        <>
          <h3>Would not, and why</h3>
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
