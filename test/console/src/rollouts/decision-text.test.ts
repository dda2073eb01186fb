import { describe, expect, test } from 'vitest';
import { decisionText } from '../../../../console/src/rollouts/decision-text.ts';
import { ORCHESTRATOR } from '../../../../core/policy/index.ts';

describe('a decision about a rollout', () => {
  test.each([
    ['rollout_halted', ORCHESTRATOR, 'Halted automatically'],
    ['rollout_paused', 'arn:aws:sts::123456789012:assumed-role/ops/ada', 'Paused by ada'],
    ['rollout_aborted', 'arn:aws:iam::123456789012:user/ada', 'Aborted by ada'],
    ['rollout_completed', ORCHESTRATOR, 'Completed '],
    ['rollout_stage_began', null, 'Stage began '],
  ])('%s by %s reads "%s"', (event, by, text) => {
    const { what, who } = decisionText(event, by);
    expect(`${what} ${who}`).toBe(text);
  });
});
