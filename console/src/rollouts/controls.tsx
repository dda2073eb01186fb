import { useState } from 'react';
import type { Rollout, RolloutAction } from '../../../api/rollouts.ts';
import { api } from '../data/client.ts';
import { counted } from '../text/format.ts';
import { ActionDialog, ReasonDialog } from '../ui/dialog.tsx';
import { ACTIONS_OF, CHANGEABLE, canAdvance } from './actions.ts';
import { NOUNS } from './approval.tsx';
import { EligibleDevices } from './eligible-devices.tsx';
import { LimitsDialog } from './limits-dialog.tsx';
import { RecoverButton } from './recover.tsx';

interface Control {
  readonly name: string;
  readonly explanation: string;
  readonly confirmation?: string;
}

const CONTROLS: Readonly<Record<RolloutAction, Control>> = {
  pause: {
    name: 'Pause',
    explanation:
      'No more commands are sent. Updates that are pending, or sent and not fetched, are canceled. A device that is downloading continues.',
  },
  resume: {
    name: 'Resume',
    explanation:
      'The stage is repeated with new devices. Earlier failures no longer count. Canceled updates are assigned again.',
  },
  advance: {
    name: 'Advance',
    explanation: 'The next stage starts now, without waiting for its gate. The failure threshold still applies.',
  },
  retry: {
    name: 'Retry failed',
    explanation: 'Devices that failed, rolled back or timed out get the release again, with all their attempts.',
  },
  abort: {
    name: 'Abort',
    explanation: 'The rollout stops and cannot be resumed. Devices that run the release keep it.',
    confirmation: 'I understand that this rollout cannot be resumed',
  },
};

/** Buttons for what the state of the rollout allows. */
export function Controls({ rollout }: { readonly rollout: Rollout }) {
  const { rollout_id: id, name, state } = rollout;
  const [open, setOpen] = useState<RolloutAction | 'start' | 'limits'>();
  const close = () => setOpen(undefined);
  const actions = ACTIONS_OF[state].filter((action) => {
    if (action === 'retry') return rollout.failed > 0;
    return action !== 'advance' || canAdvance(rollout);
  });
  // A rollout that halted itself is to be recovered or aborted; going on is the exception.
  const isHalted = state === 'halted';
  const control = open === undefined || open === 'start' || open === 'limits' ? undefined : CONTROLS[open];
  return (
    <>
      {CHANGEABLE.includes(state) && (
        <button type="button" onClick={() => setOpen('limits')}>
          Change limits …
        </button>
      )}
      {actions.map((action) => (
        <button
          key={action}
          type="button"
          className={action === 'abort' ? (isHalted ? 'danger' : 'danger quiet') : classOf(action, isHalted)}
          onClick={() => setOpen(action)}
        >
          {CONTROLS[action].name} …
        </button>
      ))}
      <RecoverButton rollout={rollout} />
      {state === 'draft' && rollout.approval === null && (
        <button type="button" className="primary" onClick={() => setOpen('start')}>
          Start …
        </button>
      )}
      {control && (
        <ReasonDialog
          title={`${control.name}: ${name}`}
          button={requestText(rollout, open) ?? control.name}
          danger={open === 'abort'}
          {...(control.confirmation === undefined ? {} : { confirmation: control.confirmation })}
          act={(reason) => api.act(id, open as RolloutAction, reason)}
          onClose={close}
        >
          <p>{control.explanation}</p>
          <ApprovalHint rollout={rollout} action={open} />
          {open === 'resume' && rollout.resume_devices !== null && (
            <p>
              {rollout.firmware_version} is sent to at most <strong>{counted(rollout.resume_devices, 'device')}</strong>{' '}
              before the gates decide again.
            </p>
          )}
        </ReasonDialog>
      )}
      {open === 'start' && <StartDialog rollout={rollout} onClose={close} />}
      {open === 'limits' && <LimitsDialog rollout={rollout} onClose={close} />}
    </>
  );
}

const classOf = (action: RolloutAction, isHalted: boolean) => (action === 'resume' && !isHalted ? 'primary' : '');

/** Says that the action is only requested. */
const ApprovalHint = ({ rollout, action }: { readonly rollout: Rollout; readonly action: string | undefined }) =>
  mustBeApproved(rollout, action) && <p>It is only requested, and done once a second person has approved it.</p>;

const mustBeApproved = (rollout: Rollout, action: string | undefined) => requestText(rollout, action) !== undefined;

/** The button of an action that is only requested; undefined for any other. */
function requestText({ needs_approval: actions }: Rollout, action: string | undefined): string | undefined {
  const requested = actions.find((needing) => needing === action);
  return requested === undefined ? undefined : `Request the ${NOUNS[requested]}`;
}

function StartDialog({ rollout, onClose }: { readonly rollout: Rollout; readonly onClose: () => void }) {
  // The rollout as it was when the dialog opened: the API refuses to start one that was changed since.
  const [read] = useState(rollout);
  const { rollout_id: id, name, updated_at: readAt } = read;
  return (
    <ActionDialog
      title={`Start: ${name}`}
      button={requestText(read, 'start') ?? 'Start'}
      act={() => api.changeRollout(id, readAt, { is_active: true })}
      onClose={onClose}
    >
      <EligibleDevices rollout={read} />
      {mustBeApproved(read, 'start') ? (
        <ApprovalHint rollout={read} action="start" />
      ) : (
        <p>The first devices are sent their command within a minute.</p>
      )}
    </ActionDialog>
  );
}
