import type { DeviceDetail } from '../../../api/devices.ts';
import type { ReleaseDetail } from '../../../api/releases.ts';
import type { DeviceUpdate } from '../../../api/rollouts.ts';
import type { Session } from '../../session/index.ts';
import type { Evidence } from './assumptions.ts';
import type { Clocks } from './check-system.ts';

/** Collects evidence by reads, and by one message to a client id that no device has. */
export async function gatherEvidence(session: Session, { databaseSkewSeconds }: Clocks): Promise<Evidence> {
  const { sendToAbsentClient } = await import('./check-aws.ts');
  const [device, release, update, direct] = await Promise.all([
    orNull(() => anyDevice(session)),
    orNull(() => anyRelease(session)),
    orNull(() => anyUpdated(session)),
    sendToAbsentClient(session.target, session.target.outputs?.get('TopicPrefix') ?? 'paku'),
  ]);
  return { device, release, update, direct, databaseSkewSeconds };
}

/** Null for an error: the checks of the system report it. */
const orNull = <T>(read: () => Promise<T | null>): Promise<T | null> => read().catch(() => null);

async function anyDevice({ api }: Session): Promise<DeviceDetail | null> {
  const { items } = await api.devices({ online: true, limit: 1 });
  const [device] = items.length > 0 ? items : (await api.devices({ limit: 1 })).items;
  return device === undefined || device.last_seen === null ? null : api.device(device.device_id);
}

async function anyRelease({ api }: Session): Promise<ReleaseDetail | null> {
  const [release] = (await api.releases({ limit: 1 })).items;
  return release === undefined ? null : api.release(release.device_model, release.version);
}

async function anyUpdated({ api }: Session): Promise<DeviceUpdate | null> {
  const { items } = await api.rollouts({ limit: 50 });
  const rollout = items.find(({ succeeded }) => succeeded > 0);
  if (rollout === undefined) return null;
  return (await api.updates(rollout.rollout_id, { status: 'success', limit: 1 })).items[0] ?? null;
}
