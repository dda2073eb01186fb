import type { Reach } from '../../../api/reach.ts';
import { counted } from '../text/format.ts';

/** The rollouts that would send because of a change, with their devices. */
export function ReachList({ of }: { readonly of: readonly Reach[] }) {
  if (of.length === 0) return <p>No rollout sends anything because of it.</p>;
  return (
    <>
      <p>These rollouts then send, as their stages and limits allow:</p>
      <ul className="reasons">
        {of.map(({ rollout_id: id, rollout_name: name, firmware_version: version, devices }) => (
          <li key={id}>
            <span>
              {version} by “{name}”
            </span>
            <span className="number">{counted(devices, 'device')}</span>
          </li>
        ))}
      </ul>
    </>
  );
}
