import { useState } from 'react';
import { Link } from 'wouter';
import type { DeviceUpdate, Rollout } from '../../../api/rollouts.ts';
import { api } from '../data/client.ts';
import { itemsOf, usePages } from '../data/pages.ts';
import { UPDATE_LABELS, type UpdateState } from '../text/labels.ts';
import { Ago, MoreButton, UpdatePill } from '../ui/components.tsx';
import { type Column, ListTable } from '../ui/list-table.tsx';
import { Empty, Loaded } from '../ui/loaded.tsx';
import { Panel } from '../ui/page.tsx';

const STATES = Object.entries(UPDATE_LABELS) as [UpdateState, { text: string }][];

/** The device updates of a rollout. */
export function Updates({ rollout: { rollout_id: id } }: { readonly rollout: Rollout }) {
  const [status, setStatus] = useState('');
  const updates = usePages(['updates', id, status], (page) =>
    api.updates(id, { ...page, status: status || undefined }),
  );
  const filter = (
    <select aria-label="State" value={status} onChange={(event) => setStatus(event.target.value)}>
      <option value="">all states</option>
      {STATES.map(([state, { text }]) => (
        <option key={state} value={state}>
          {text}
        </option>
      ))}
    </select>
  );
  return (
    <Panel title="Devices" aside={filter}>
      <Loaded of={updates} lines={6}>
        {(data) => {
          const items = itemsOf(data);
          if (items.length > 0) {
            return (
              <ListTable
                label="Devices of the rollout"
                columns={COLUMNS}
                rows={items}
                keyOf={({ update_id: key }) => key}
              />
            );
          }
          return <Empty title={status === '' ? 'No device is assigned yet' : 'None in this state'} />;
        }}
      </Loaded>
      <MoreButton query={updates} />
    </Panel>
  );
}

const COLUMNS: readonly Column<DeviceUpdate>[] = [
  {
    name: 'Device',
    cell: ({ device_id: id }) => <Link href={`/devices/${encodeURIComponent(id)}`}>{id}</Link>,
  },
  {
    name: 'State',
    cell: (update) => <UpdatePill update={{ ...update, is_open: update.completed_at === null }} />,
  },
  { name: 'Before', cell: (update) => update.previous_version ?? '–' },
  { name: 'Now', cell: (update) => update.current_firmware_version },
  { name: 'Stage', kind: 'number', cell: ({ attempt, stage }) => (attempt === 0 ? '–' : stage + 1) },
  { name: 'Attempt', kind: 'number', cell: ({ attempt }) => attempt },
  { name: 'Reason', kind: 'wide', cell: ({ reason }) => reason },
  {
    name: 'Changed',
    cell: (update) => <Ago at={update.completed_at ?? update.reported_at ?? update.sent_at ?? update.created_at} />,
  },
];
