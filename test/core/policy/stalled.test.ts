import { expect, test } from 'vitest';
import { isBlocked, isStalled, movedBefore } from '../../../core/policy/index.ts';

const MOVED = new Date('2026-03-02T12:00:00Z');
const after = (hours: number) => new Date(MOVED.getTime() + hours * 3_600_000);

test.each([
  ['proof', 23.9, false],
  ['proof', 24, true],
  ['release', 24, true],
  ['devices', 24 * 7 - 0.1, false],
  ['devices', 24 * 7, true],
  ['time', 24 * 365, false],
] as const)('a rollout that waits for %s and has not moved for %d hours is stalled: %s', (wait, hours, expected) => {
  expect(isStalled(wait, MOVED, after(hours))).toBe(expected);
});

test('a rollout that moved within the last day is never stalled', () => {
  expect(movedBefore(after(24))).toEqual(MOVED);
});

test('an alarm is due where the rollout cannot go on by itself', () => {
  expect((['proof', 'release', 'devices', 'time'] as const).filter(isBlocked)).toEqual(['proof', 'release']);
});
