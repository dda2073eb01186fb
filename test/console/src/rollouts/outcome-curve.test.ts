import { expect, test } from 'vitest';
import { outcomeCurve } from '../../../../console/src/rollouts/outcome-curve.ts';

const at = (seconds: number) => new Date(seconds * 1000).toISOString();

test('outcomes are cumulative, from the beginning to the end', () => {
  const outcomes = [
    { at: at(10), succeeded: 1, failed: 1 },
    { at: at(20), succeeded: 2, failed: 0 },
  ];
  expect(outcomeCurve(outcomes, at(0), at(60))).toEqual({
    times: [0, 10, 20, 60],
    succeeded: [0, 1, 3, 3],
    failed: [0, 1, 1, 1],
  });
});

test('the outcomes that halted a rollout are visible, although it ended before their interval did', () => {
  const { times, failed } = outcomeCurve([{ at: at(20), succeeded: 0, failed: 6 }], at(0), at(14));
  expect(times).toEqual([0, 20, 22]);
  expect(failed).toEqual([0, 6, 6]);
});
