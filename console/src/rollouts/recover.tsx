import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'wouter';
import type { RecoveryPreview } from '../../../api/recovery.ts';
import type { Rollout } from '../../../api/rollouts.ts';
import { api } from '../data/client.ts';
import { count, counted } from '../text/format.ts';
import type { RolloutState } from '../text/labels.ts';
import { RolloutPill } from '../ui/components.tsx';
import { Dialog, ReasonDialog } from '../ui/dialog.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { Panel } from '../ui/page.tsx';

/** In these states the page shows by itself how many devices a recovery would send back. */
const SHOWN: readonly RolloutState[] = ['halted', 'paused', 'aborted'];

/**
 * What a recovery would do. It reads every update of the rollout, so it is not repeated every few seconds, and for a
 * rollout that completed it is read when somebody asks.
 */
const useRecovery = ({ rollout_id: id, state }: Rollout, isAsked = false) =>
  useQuery({
    queryKey: ['recovery', id, state],
    queryFn: () => api.previewRecovery(id),
    enabled: SHOWN.includes(state) || (state === 'completed' && isAsked),
    refetchInterval: 60_000,
  });

/** *Recover N devices*: the recommended action on a halted rollout. */
export function RecoverButton({ rollout }: { readonly rollout: Rollout }) {
  const [isOpen, setOpen] = useState(false);
  const { state, succeeded } = rollout;
  const { data } = useRecovery(rollout, isOpen);
  const isOffered = data === undefined ? state === 'completed' && succeeded > 0 : data.devices + data.cannot.length > 0;
  if (!isOffered) return null;
  return (
    <>
      <button type="button" className={state === 'halted' ? 'primary' : ''} onClick={() => setOpen(true)}>
        {data === undefined ? 'Recover devices' : actionOf(data)} …
      </button>
      {isOpen && <RecoverDialog rollout={rollout} onClose={() => setOpen(false)} />}
    </>
  );
}

const actionOf = ({ devices }: RecoveryPreview) => `Recover ${counted(devices, 'device')}`;

function RecoverDialog({ rollout, onClose }: { readonly rollout: Rollout; readonly onClose: () => void }) {
  const recovery = useRecovery(rollout, true);
  const title = `Recover: ${rollout.name}`;
  if (recovery.data === undefined) {
    return (
      <Dialog title={title} onClose={onClose}>
        <Loaded of={recovery} lines={3}>
          {() => null}
        </Loaded>
      </Dialog>
    );
  }
  return (
    <ReasonDialog
      title={title}
      button={actionOf(recovery.data)}
      act={(reason) => api.recover(rollout.rollout_id, reason)}
      onClose={onClose}
    >
      <RecoveryNumbers recovery={recovery.data} />
    </ReasonDialog>
  );
}

function RecoveryNumbers({ recovery }: { readonly recovery: RecoveryPreview }) {
  const { by_version, cannot, held, under_way, firmware_version: version } = recovery;
  return (
    <>
      <p>
        These devices run {version}, or may run it. Each is sent the version that it ran before, when it reports next,
        without waves and gates:
      </p>
      <ul className="reasons">
        {by_version.map(({ firmware_version, devices, may_run }) => (
          <li key={firmware_version}>
            <span>
              back to {firmware_version}
              {may_run > 0 && `; ${count(may_run)} of them went silent in the update and may not run ${version}`}
            </span>
            <span className="number">{count(devices)}</span>
          </li>
        ))}
      </ul>
      {held > 0 && (
        <p>
          {counted(held, 'device')} of them {held === 1 ? 'is' : 'are'} held, and sent back once the hold has ended.
        </p>
      )}
      {under_way > 0 && (
        <p>
          {counted(under_way, 'device')} still {under_way === 1 ? 'downloads or boots' : 'download or boot'} {version}:
          recovered once {under_way === 1 ? 'it runs' : 'they run'} it.
        </p>
      )}
      {cannot.length > 0 && (
        <>
          <h3>Cannot be recovered</h3>
          <ul className="reasons">
            {cannot.map(({ reason, devices, device_ids }) => (
              <li key={reason}>
                <span title={device_ids.join(', ')}>
                  {reason}: {device_ids.slice(0, 5).join(', ')}
                  {devices > 5 && ', …'}
                </span>
                <span className="number">{count(devices)}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

/** The rollouts that send the devices of this one back, with their outcomes. */
export function Recoveries({ rollout }: { readonly rollout: Rollout }) {
  const recoveries = useRecovery(rollout).data?.recoveries ?? [];
  if (recoveries.length === 0) return null;
  return (
    <Panel title="Recovery">
      <ul className="reasons">
        {recoveries.map(({ rollout_id: id, name, state, devices, succeeded, failed }) => (
          <li key={id}>
            <span>
              <RolloutPill state={state} /> <Link href={`/rollouts/${id}`}>{name}</Link>
              {failed > 0 && `: ${count(failed)} failed`}
            </span>
            <span className="number">
              {count(succeeded)} of {count(devices)}
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
