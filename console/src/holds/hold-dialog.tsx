import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { HoldPreview, NewHold } from '../../../api/holds.ts';
import { api } from '../data/client.ts';
import { counted } from '../text/format.ts';
import { ActionDialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/form.tsx';
import { Loaded } from '../ui/loaded.tsx';

type Target = Pick<NewHold, 'scope' | 'device_id' | 'group_name'>;

interface HoldDialogProps {
  readonly target: Target;
  readonly onClose: () => void;
}

/** Asks before a hold, and says in numbers what it stops. */
export function HoldDialog({ target, onClose }: HoldDialogProps) {
  const { scope, ...named } = target;
  const [reason, setReason] = useState(scope === 'service' ? 'stopped at the console' : '');
  const [start, setStart] = useState('');
  const [end, setEnd] = useState('');
  const effect = useQuery({ queryKey: ['hold-preview', named], queryFn: () => api.previewHold(named), staleTime: 0 });
  const from = timeOf(start);
  const until = timeOf(end);
  return (
    <ActionDialog
      title={
        scope === 'service' ? 'Stop everything that sends' : `Hold ${target.device_id ?? `group ${target.group_name}`}`
      }
      button={scope === 'service' ? 'Stop everything' : 'Hold'}
      danger={scope === 'service'}
      ready={reason.trim() !== '' && from !== null && until !== null}
      act={() =>
        api.setHold({
          ...target,
          reason: reason.trim(),
          ...(from && { starts_at: from }),
          ...(until && { ends_at: until }),
        })
      }
      onClose={onClose}
    >
      <Loaded of={effect} lines={2}>
        {(numbers) => <Effect of={numbers} />}
      </Loaded>
      <TextField
        label="Reason"
        name="reason"
        value={reason}
        onChange={setReason}
        hint="Kept in the history with your identity."
      />
      {scope !== 'service' && (
        <TextField
          label="Begins"
          name="starts_at"
          value={start}
          onChange={setStart}
          hint={from === null ? NOT_A_TIME : 'Empty: now. Else a time such as 2026-12-20 18:00.'}
        />
      )}
      <TextField
        label="Ends"
        name="ends_at"
        value={end}
        onChange={setEnd}
        hint={until === null ? NOT_A_TIME : 'Empty: when somebody removes it. Else a time such as 2027-01-07 06:00.'}
      />
    </ActionDialog>
  );
}

const NOT_A_TIME = 'Not a time: expected a form like 2027-01-07 06:00.';

/** The time in ISO 8601; undefined if the field is empty; null if it is not a time. */
function timeOf(text: string): string | undefined | null {
  if (text.trim() === '') return undefined;
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? null : time.toISOString();
}

function Effect({ of }: { readonly of: HoldPreview }) {
  const { devices, already_held: held, waiting, under_way: underWay, rollouts } = of;
  return (
    <>
      <p>
        <strong>{counted(devices, 'device')}</strong> {devices === 1 ? 'is' : 'are'} sent nothing until the hold ends
        {held > 0 && `; ${counted(held, 'device')} of them ${held === 1 ? 'is' : 'are'} held already`}.{' '}
        {counted(rollouts, 'active rollout')} {rollouts === 1 ? 'waits' : 'wait'}.
      </p>
      <p>
        {counted(waiting, 'pending update')} {waiting === 1 ? 'waits and does' : 'wait and do'} not fail.{' '}
        {counted(underWay, 'update')} whose command was sent {underWay === 1 ? 'goes' : 'go'} on.
      </p>
    </>
  );
}

/** The one button that stops everything that sends. */
export function StopButton() {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="danger quiet" onClick={() => setOpen(true)}>
        Stop everything …
      </button>
      {isOpen && <HoldDialog target={{ scope: 'service' }} onClose={() => setOpen(false)} />}
    </>
  );
}
