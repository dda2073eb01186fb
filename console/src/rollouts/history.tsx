import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Decision, Progress, RolloutEventName } from '../../../api/rollouts.ts';
import { api } from '../data/client.ts';
import { capital, count, counted, dateTime } from '../text/format.ts';
import type { Tone, UpdateState } from '../text/labels.ts';
import { Ago, StatusPill } from '../ui/components.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { decisionText } from './decision-text.ts';

/** Failures grouped by reason, the most frequent first. */
export function Failures({ of }: { readonly of: Progress['failures'] }) {
  if (of.length === 0) return <p className="calm">None.</p>;
  const most = Math.max(...of.map(({ devices }) => devices));
  return (
    <ul className="reasons">
      {of.map(({ status, reason, devices }) => (
        <li key={`${status} ${reason}`}>
          <span className="reason-bar bad" style={{ width: `${(devices / most) * 100}%` }} aria-hidden="true" />
          <span>
            <StatusPill status={status as UpdateState} /> {reason || 'no reason given'}
          </span>
          <span className="number">{count(devices)}</span>
        </li>
      ))}
    </ul>
  );
}

const TONES: Readonly<Record<RolloutEventName, Tone>> = {
  rollout_created: 'idle',
  rollout_started: 'busy',
  rollout_stage_began: 'busy',
  rollout_stage_extended: 'busy',
  rollout_halted: 'bad',
  rollout_paused: 'warn',
  rollout_resumed: 'busy',
  rollout_advanced: 'busy',
  rollout_changed: 'idle',
  rollout_restarted: 'warn',
  rollout_stepping_stones_decided: 'idle',
  rollout_retried: 'busy',
  rollout_recovered: 'ok',
  rollout_aborted: 'bad',
  rollout_completed: 'ok',
  rollout_approval_requested: 'warn',
  rollout_approved: 'ok',
  rollout_rejected: 'warn',
  rollout_request_voided: 'warn',
  rollout_held: 'warn',
  rollout_hold_ended: 'idle',
};

/** Of an event that a newer service wrote, too. */
const toneOf = (event: string): Tone => (TONES as Readonly<Record<string, Tone>>)[event] ?? 'idle';

/** Decisions that are shown at first. */
const SHOWN = 10;

export function Decisions({ id }: { readonly id: number }) {
  const [showsAll, showAll] = useState(false);
  const decisions = useQuery({ queryKey: ['decisions', id], queryFn: () => api.decisions(id) });
  return (
    <Loaded of={decisions} lines={4}>
      {({ items }) => (
        <>
          <ol className="timeline">
            {items
              .toReversed()
              .slice(0, showsAll ? items.length : SHOWN)
              .map((decision) => (
                <DecisionLine key={decision.event_id} decision={decision} />
              ))}
          </ol>
          {!showsAll && items.length > SHOWN && (
            <button type="button" className="more" onClick={() => showAll(true)}>
              Show all {items.length}
            </button>
          )}
        </>
      )}
    </Loaded>
  );
}

function DecisionLine({ decision: { event, at, reason, decided_by: by, detail } }: { readonly decision: Decision }) {
  const { what, who } = decisionText(event, by);
  return (
    <li className={toneOf(event)}>
      <p>
        <strong>{what}</strong> <span className="muted">{who}</span>
      </p>
      {reason !== null && <p>{capital(reason)}</p>}
      <p className="muted">{numbersOf(detail)}</p>
      <p className="when" title={dateTime(at)}>
        <Ago at={at} />
      </p>
    </li>
  );
}

/** The numbers of the rollout at the time of the decision. */
function numbersOf({ numbers, devices, targeted, stage }: Decision['detail']): string {
  if (typeof devices === 'number' && typeof targeted === 'number' && typeof stage === 'number') {
    return `stage ${stage + 1}: ${count(devices)} of ${counted(targeted, 'device')}`;
  }
  if (typeof numbers !== 'object' || numbers === null) return '';
  const named = Object.entries(numbers).filter(
    (pair): pair is [string, number] => typeof pair[1] === 'number' && pair[1] > 0 && pair[0] !== 'stage',
  );
  return named
    .map(([name, value]) => (name === 'devices' ? counted(value, 'device') : `${count(value)} ${name}`))
    .join(', ');
}
