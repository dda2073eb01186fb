import type { RolloutAction } from '../../../api/rollouts.ts';
import type { RolloutState } from '../text/labels.ts';

/** What may be done to a rollout in its state, in the order of the buttons. */
export const ACTIONS_OF: Readonly<Record<RolloutState, readonly RolloutAction[]>> = {
  draft: ['abort'],
  scheduled: ['pause', 'abort'],
  active: ['pause', 'advance', 'retry', 'abort'],
  halted: ['resume', 'retry', 'abort'],
  paused: ['resume', 'retry', 'abort'],
  completed: ['retry'],
  aborted: [],
};

/** States in which its limits can be changed. */
export const CHANGEABLE: readonly RolloutState[] = ['draft', 'scheduled', 'active', 'halted', 'paused'];
