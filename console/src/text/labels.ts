import type { DeviceUpdate, Rollout } from '../../../api/rollouts.ts';

/** The colour of a label. The text beside it says the same. */
export type Tone = 'ok' | 'busy' | 'idle' | 'warn' | 'bad';

export type UpdateState = DeviceUpdate['status'];
export type RolloutState = Rollout['state'];

interface Label {
  readonly text: string;
  readonly tone: Tone;
}

export const UPDATE_LABELS: Readonly<Record<UpdateState, Label>> = {
  pending: { text: 'pending', tone: 'idle' },
  sent: { text: 'sent', tone: 'busy' },
  downloading: { text: 'downloading', tone: 'busy' },
  downloaded: { text: 'downloaded', tone: 'busy' },
  installing: { text: 'installing', tone: 'busy' },
  success: { text: 'success', tone: 'ok' },
  failed: { text: 'failed', tone: 'bad' },
  rolled_back: { text: 'rolled back', tone: 'bad' },
  timed_out: { text: 'timed out', tone: 'bad' },
  canceled: { text: 'canceled', tone: 'idle' },
};

interface UpdateProgress {
  readonly status: UpdateState;
  readonly is_open: boolean;
  readonly booted_at: string | null;
}

/** The label of an update. An open success is an installed image that is not booted yet, or is on probation. */
export function labelOf({ status, is_open: isOpen, booted_at: bootedAt }: UpdateProgress): Label {
  if (status !== 'success' || !isOpen) return UPDATE_LABELS[status];
  return { text: bootedAt === null ? 'installed, not booted yet' : 'on probation', tone: 'busy' };
}

export const ROLLOUT_TONES: Readonly<Record<RolloutState, Tone>> = {
  draft: 'idle',
  scheduled: 'idle',
  active: 'busy',
  halted: 'bad',
  paused: 'warn',
  completed: 'ok',
  aborted: 'bad',
};
