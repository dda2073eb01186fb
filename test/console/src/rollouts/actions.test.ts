import { expect, test } from 'vitest';
import { ACTIONS_OF, canAdvance } from '../../../../console/src/rollouts/actions.ts';
import { parsePlan, ROLLOUT_ACTIONS, ROLLOUT_STATES, statesFor } from '../../../../core/policy/index.ts';

test('the console offers the actions that the service allows in each state', () => {
  for (const state of ROLLOUT_STATES) {
    const possible = ROLLOUT_ACTIONS.filter((action) => statesFor(action).includes(state));
    expect([...ACTIONS_OF[state]].sort(), state).toEqual(possible.sort());
  }
});

test('the console offers to advance a rollout that has a stage after the present one, as its plan says', () => {
  const plans = [
    null,
    [],
    [{ percentage: 50 }],
    [{ count: 3 }, { percentage: 20 }, { percentage: 100 }],
    [{ count: 3 }],
  ];
  for (const planned of plans) {
    const stages = planned?.map((stage) => ({ ...stage, soak_minutes: 0 })) ?? null;
    const parsed = parsePlan({ stages, send_window: null, min_reports: 5, failure_threshold: 0.1 });
    if (!parsed.ok) throw new Error(parsed.reason);
    for (let stage = 0; stage < 6; stage += 1) {
      const hasNext = parsed.value.stages === null || parsed.value.stages[stage + 1] !== undefined;
      expect(canAdvance({ stage, stages }), `${JSON.stringify(stages)} in stage ${stage}`).toBe(hasNext);
    }
    expect(canAdvance({ stage: null, stages })).toBe(false);
  }
});
