import { useState } from 'react';
import { Link } from 'wouter';
import type { DeviceUpdate, Rollout } from '../../../api/rollouts.ts';
import { api } from '../api.ts';
import { UPDATE_LABELS, type UpdateState } from '../labels.ts';
import { itemsOf, usePages } from '../pages.ts';
import { Ago, MoreButton, TableFrame, UpdatePill } from '../parts/bits.tsx';
import { Empty, Loaded } from '../parts/loaded.tsx';
import { Panel } from '../parts/page.tsx';

const STATES = Object.entries(UPDATE_LABELS) as [UpdateState, { text: string }][];

/** The devices of a rollout, each with how far it is. */
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
          if (items.length > 0) return <UpdateTable updates={items} />;
          return <Empty title={status === '' ? 'No device was claimed yet' : 'None in this state'} />;
        }}
      </Loaded>
      <MoreButton query={updates} />
    </Panel>
  );
}

function UpdateTable({ updates }: { readonly updates: readonly DeviceUpdate[] }) {
  return (
    <TableFrame label="Devices of the rollout">
      <table className="list">
        <thead>
          <tr>
            <th>Device</th>
            <th>State</th>
            <th>Before</th>
            <th>Now</th>
            <th className="number">Stage</th>
            <th className="number">Attempt</th>
            <th>Reason</th>
            <th>Changed</th>
          </tr>
        </thead>
        <tbody>
          {updates.map((update) => (
            <tr key={update.update_id}>
              <th scope="row">
                <Link href={`/devices/${encodeURIComponent(update.device_id)}`}>{update.device_id}</Link>
              </th>
              <td>
                <UpdatePill status={update.status} percent={update.progress_percent} />
                {isUnproved(update) && <span className="muted"> not final yet</span>}
              </td>
              <td>{update.previous_version ?? '–'}</td>
              <td>{update.current_firmware_version}</td>
              <td className="number">{update.attempt === 0 ? '–' : update.stage + 1}</td>
              <td className="number">{update.attempt}</td>
              <td className="wide">{update.reason ?? ''}</td>
              <td>
                <Ago at={update.closed_at ?? update.reported_at ?? update.sent_at ?? update.created_at} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </TableFrame>
  );
}

/** Written, or running, and not yet long enough. */
const isUnproved = ({ status, closed_at: closed }: DeviceUpdate) => status === 'success' && closed === null;
