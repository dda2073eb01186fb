import type { RolloutAction } from '../../../api/rollouts.ts';
import type { RolloutState } from '../text/labels.ts';

/** The actions that each state allows, in the order of the buttons. */
export const ACTIONS_OF: Readonly<Record<RolloutState, readonly RolloutAction[]>> = {
  draft: ['abort'],
  scheduled: ['pause', 'abort'],
  active: ['pause', 'advance', 'retry', 'abort'],
  halted: ['resume', 'retry', 'abort'],
  paused: ['resume', 'retry', 'abort'],
  completed: ['retry'],
  aborted: [],
};

/** States in which the limits can be changed. */
export const CHANGEABLE: readonly RolloutState[] = ['draft', 'scheduled', 'active', 'halted', 'paused'];
