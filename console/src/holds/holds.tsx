import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Hold } from '../../../api/holds.ts';
import { api } from '../data/client.ts';
import { capital, count, dateTime } from '../text/format.ts';
import { ReasonDialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/form.tsx';
import { Empty, Loaded } from '../ui/loaded.tsx';
import { Page, Panel } from '../ui/page.tsx';
import { ReachList } from '../ui/reach-list.tsx';
import { HoldDialog, StopButton } from './hold-dialog.tsx';

/** The holds in force, those that begin later, and those that have ended. */
export function HoldsPage() {
  return (
    <Page title="Holds" actions={<StopButton />}>
      <Holds title="In force" state="in_force" />
      <Holds title="Planned" state="planned" />
      <NewGroupHold />
      <Holds title="Ended" state="ended" />
    </Page>
  );
}

const NONE = { in_force: 'Nothing is held', planned: 'No hold is planned', ended: 'No hold has ended yet' };

function Holds({ title, state }: { readonly title: string; readonly state: keyof typeof NONE }) {
  const holds = useQuery({ queryKey: ['holds', state], queryFn: () => api.holds({ state }) });
  return (
    <Panel title={title}>
      <Loaded of={holds}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title={NONE[state]} />
          ) : (
            <ul className="reasons">
              {items.map((hold) => (
                <HoldLine key={hold.hold_id} hold={hold} />
              ))}
            </ul>
          )
        }
      </Loaded>
    </Panel>
  );
}

function HoldLine({ hold }: { readonly hold: Hold }) {
  const [isOpen, setOpen] = useState(false);
  const { ended_at: ended, ended_by: by, ended_reason: reason } = hold;
  return (
    <li>
      <span>
        {capital(hold.text)}.
        {ended !== null && ` Ended ${dateTime(ended)} by ${by ?? 'SQL'}: ${reason ?? 'no reason given'}.`}
      </span>
      {ended === null && (
        <span className="number">
          {count(hold.waiting)} waiting{' '}
          <button type="button" onClick={() => setOpen(true)} aria-label={`Remove hold ${hold.hold_id}`}>
            Remove …
          </button>
        </span>
      )}
      {isOpen && <RemoveDialog hold={hold} onClose={() => setOpen(false)} />}
    </li>
  );
}

/** Says which devices are sent which version once the hold is removed. */
function RemoveDialog({ hold: { hold_id: id, text }, onClose }: { readonly hold: Hold; readonly onClose: () => void }) {
  const hold = useQuery({ queryKey: ['hold', id], queryFn: () => api.hold(id), staleTime: 0 });
  return (
    <ReasonDialog
      title="Remove the hold"
      button="Remove"
      act={(reason) => api.removeHold(id, reason)}
      onClose={onClose}
    >
      <p>{capital(text)}.</p>
      <Loaded of={hold} lines={2}>
        {({ reached_by: reached }) => <ReachList of={reached} />}
      </Loaded>
    </ReasonDialog>
  );
}

function NewGroupHold() {
  const [group, setGroup] = useState('');
  const [isOpen, setOpen] = useState(false);
  const groups = useQuery({ queryKey: ['groups'], queryFn: api.groups });
  const names = groups.data?.items.map(({ group_name: name }) => name) ?? [];
  return (
    <Panel title="Hold a group">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          setOpen(true);
        }}
      >
        <TextField
          label="Group"
          name="group_name"
          value={group}
          onChange={setGroup}
          hint={names.length === 0 ? 'No device is in a group.' : `One of ${names.join(', ')}.`}
        />
        <button type="submit" disabled={!names.includes(group)}>
          Hold …
        </button>
      </form>
      {isOpen && <HoldDialog target={{ scope: 'group', group_name: group }} onClose={() => setOpen(false)} />}
    </Panel>
  );
}
