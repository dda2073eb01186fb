import type { DeviceUpdate, Rollout } from '../../api/rollouts.ts';

/** How something is coloured; the text beside it says the same. */
export type Tone = 'ok' | 'busy' | 'idle' | 'warn' | 'bad';

export type UpdateState = DeviceUpdate['status'];
export type RolloutState = Rollout['state'];

export const UPDATE_LABELS: Readonly<Record<UpdateState, { readonly text: string; readonly tone: Tone }>> = {
  pending: { text: 'owed', tone: 'idle' },
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

export const ROLLOUT_TONES: Readonly<Record<RolloutState, Tone>> = {
  draft: 'idle',
  scheduled: 'idle',
  active: 'busy',
  paused: 'warn',
  completed: 'ok',
  aborted: 'bad',
};
