import type { Rollout, RolloutAction } from '../../../api/rollouts.ts';
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

/** True if an active rollout has a stage after the present one. Before its first stage there is none to advance from. */
export function canAdvance({ stage, stages }: Pick<Rollout, 'stage' | 'stages'>): boolean {
  if (stage === null) return false;
  if (stages === null) return true;
  // The devices that the last stage leaves out follow in a stage of their own.
  const isRemainderPlanned = stages.at(-1)?.percentage !== 100;
  return stage + 1 < stages.length + (isRemainderPlanned ? 1 : 0);
}
