import { useState } from 'react';
import type { Approval, Rollout } from '../../../api/rollouts.ts';
import { api } from '../data/client.ts';
import { counted } from '../text/format.ts';
import { Ago } from '../ui/components.tsx';
import { ReasonDialog } from '../ui/dialog.tsx';
import { EligibleDevices } from './eligible-devices.tsx';

/** What is requested, by its action. */
export const NOUNS = {
  start: 'start',
  resume: 'resumption',
  retry: 'retry of failed devices',
  advance: 'next stage',
} as const;

/** What waits for a second person, and the decisions that this one may make. */
export function ApprovalNotice({ rollout, approval }: { readonly rollout: Rollout; readonly approval: Approval }) {
  const [open, setOpen] = useState<'approve' | 'reject'>();
  const { action, devices, reason, requested_by: by, requested_at: at, refusal } = approval;
  return (
    <div className="notice warn">
      <p>
        <strong>Waits for approval by a second person.</strong> {by} requested its {NOUNS[action]} <Ago at={at} />, for{' '}
        {counted(devices, 'device')}
        {reason === null ? '' : `: ${reason}`}.{refusal !== null && <> You cannot approve it: {refusal}.</>}
      </p>
      <div className="actions">
        {refusal === null && (
          <button type="button" className="primary" onClick={() => setOpen('approve')}>
            Approve …
          </button>
        )}
        <button type="button" onClick={() => setOpen('reject')}>
          {rejectText(approval)} …
        </button>
      </div>
      {open && (
        <DecisionDialog decision={open} rollout={rollout} approval={approval} onClose={() => setOpen(undefined)} />
      )}
    </div>
  );
}

const rejectText = ({ refusal }: Approval) => (refusal === null ? 'Reject' : 'Take back');

interface DecisionDialogProps {
  readonly decision: 'approve' | 'reject';
  readonly rollout: Rollout;
  readonly approval: Approval;
  readonly onClose: () => void;
}

function DecisionDialog({ decision, rollout, approval, onClose }: DecisionDialogProps) {
  // The request as it was when the dialog opened: the API refuses to decide another one.
  const [read] = useState(approval);
  const isApproval = decision === 'approve';
  const { rollout_id: id, name, firmware_version: version } = rollout;
  return (
    <ReasonDialog
      title={`${isApproval ? 'Approve' : rejectText(read)} the ${NOUNS[read.action]}: ${name}`}
      button={isApproval ? 'Approve' : rejectText(read)}
      act={(reason) => api.decide(id, decision, { request_id: read.request_id, reason })}
      onClose={onClose}
    >
      {isApproval ? (
        <>
          {read.action === 'advance' && <p>The next stage starts now, without waiting for its gate.</p>}
          {(read.action === 'resume' || read.action === 'retry') && (
            <p>
              {version} is sent to at most <strong>{counted(read.devices, 'device')}</strong> before the gates decide
              again. Earlier failures no longer count.
            </p>
          )}
          {rollout.allow_downgrade && <p>Devices on a newer version get this one, too.</p>}
          <EligibleDevices rollout={rollout} without="NEEDS_APPROVAL" />
        </>
      ) : (
        <p>Nothing is sent. It can be requested again.</p>
      )}
    </ReasonDialog>
  );
}
