import { expect, test } from 'vitest';
import { ACTIONS_OF } from '../../../../console/src/rollouts/actions.ts';
import { ROLLOUT_ACTIONS, ROLLOUT_STATES, statesFor } from '../../../../core/policy/index.ts';

test('the console offers the actions that the service allows in each state', () => {
  for (const state of ROLLOUT_STATES) {
    const possible = ROLLOUT_ACTIONS.filter((action) => statesFor(action).includes(state));
    expect([...ACTIONS_OF[state]].sort(), state).toEqual(possible.sort());
  }
});
