import type { Release } from './releases.ts';
import type { RolloutSummary } from './rollouts.ts';

type Revoked = Pick<Release, 'version' | 'devices'>;
type Sending = Pick<RolloutSummary, 'name' | 'state' | 'firmware_version' | 'pending' | 'in_progress' | 'succeeded'>;

/** States of rollouts that send, or that begin to. */
const OPEN = ['active', 'scheduled', 'paused', 'draft'];

/** When a rollout that still sends can be recovered. */
const AFTER: Partial<Record<Sending['state'], string>> = { active: ' after its halt', scheduled: ' once it is paused' };

const counted = (count: number, noun: string) => `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
const named = (rollouts: readonly Sending[]) => rollouts.map(({ name }) => `"${name}"`).join(', ');

const withTime = ({ name, state }: Sending) => `"${name}"${AFTER[state] ?? ''}`;

/**
 * What the revocation of a release does, in sentences.
 * @param rollouts those that send it, as their release or as a stepping stone
 */
export function describeRevocation({ version, devices }: Revoked, rollouts: readonly Sending[]): string[] {
  const open = rollouts.filter(({ state }) => OPEN.includes(state));
  const target = open.filter((rollout) => rollout.firmware_version === version);
  const halting = target.filter(({ state }) => state === 'active');
  const waiting = target.filter(({ state }) => state !== 'active');
  const stones = open.filter((rollout) => rollout.firmware_version !== version);
  const sum = (key: 'pending' | 'in_progress') => halting.reduce((total, rollout) => total + rollout[key], 0);
  const updated = rollouts.filter((rollout) => rollout.firmware_version === version && rollout.succeeded > 0);
  return [
    devices === 0
      ? 'No device runs it.'
      : `${counted(devices, 'device')} run${devices === 1 ? 's' : ''} it and keep${devices === 1 ? 's' : ''} it.`,
    halting.length === 0
      ? 'No active rollout sends it.'
      : `${counted(halting.length, 'active rollout')} halt${halting.length === 1 ? 's' : ''}: ${named(halting)} (${counted(sum('pending'), 'update')} pending, ${sum('in_progress').toLocaleString('en')} under way).`,
    ...(waiting.length === 0 ? [] : [`Rollouts that will not send it: ${named(waiting)}.`]),
    ...(stones.length === 0 ? [] : [`Rollouts that lose it as a stepping stone and go on: ${named(stones)}.`]),
    ...(devices > 0 && updated.length > 0
      ? [`To send devices back to the version before, recover ${updated.map(withTime).join(', ')}.`]
      : []),
  ];
}
