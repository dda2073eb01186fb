import { describe, expect, test } from 'vitest';
import type { AttemptVerdict } from '../../../core/policy/attempt-facts.ts';
import { DIRECT_MAX_BYTES, type EndedAttempt, planRetry } from '../../../core/policy/retry-policy.ts';

const completedAt = new Date('2026-03-01T12:00:00Z');
const verdict = (given: Partial<AttemptVerdict>): AttemptVerdict => ({
  status: 'failed',
  cause: 'delivery',
  isTransient: true,
  acknowledgedAt: completedAt,
  reportedAt: completedAt,
  percent: null,
  resultCode: null,
  errorMessage: null,
  installedAt: null,
  bootedAt: null,
  unexpectedVersion: null,
  deadlineAt: null,
  completedAt,
  ...given,
});
const attempt: EndedAttempt = {
  updateId: 7,
  attempt: 1,
  maxAttempts: 3,
  family: 'devices',
  isDelivered: true,
  delivery: 'redirect',
  linkOpened: false,
  imageBytes: 900_000,
  declinedCount: 0,
  retryAfterSeconds: null,
  isRecovery: false,
};
const waited = (n: number, updateId = 7) => {
  const retry = planRetry(verdict({ resultCode: 2 }), { ...attempt, updateId, attempt: n, maxAttempts: 20 });
  return ((retry?.notBefore.getTime() ?? 0) - completedAt.getTime()) / 60_000;
};

test('a failure that is not transient is final', () => {
  expect(planRetry(verdict({ cause: 'build', isTransient: false }), attempt)).toBeUndefined();
});

describe('result code 4 after a download', () => {
  const failed = verdict({ cause: 'build', resultCode: 4 });
  test('is worth another attempt if the delivery can differ', () => {
    expect(planRetry(failed, { ...attempt, linkOpened: true })?.delivery).toBe('direct');
  });
  test('is final if it cannot', () => {
    expect(planRetry(failed, { ...attempt, linkOpened: true, delivery: 'direct' })).toBeUndefined();
  });
});

describe('a device that declined', () => {
  const declined = verdict({ cause: 'declined', resultCode: 10 });
  const waits = (ended: Partial<EndedAttempt>) =>
    ((planRetry(declined, { ...attempt, ...ended })?.notBefore.getTime() ?? 0) - completedAt.getTime()) / 60_000;

  test('is asked again after a wait that grows from 5 minutes to 6 hours', () => {
    expect([0, 1, 2, 6, 20].map((declinedCount) => waits({ declinedCount }))).toEqual([5, 10, 20, 320, 360]);
  });
  test('is asked again when it says, within limits', () => {
    expect(waits({ retryAfterSeconds: 1_800 })).toBe(30);
    expect(waits({ retryAfterSeconds: 0 })).toBe(1);
    expect(waits({ retryAfterSeconds: 1e9 })).toBe(360);
  });
  test('uses no attempt', () => {
    expect(waits({ attempt: 50, declinedCount: 49 })).toBe(360);
    const failed = verdict({ resultCode: 2 });
    expect(planRetry(failed, { ...attempt, attempt: 50, declinedCount: 48 })).toBeDefined();
    expect(planRetry(failed, { ...attempt, attempt: 50, declinedCount: 47 })).toBeUndefined();
  });
});

describe('another attempt', () => {
  test('is not made for what was written: only the device can say whether it boots', () => {
    expect(planRetry(verdict({ status: 'rolled_back', installedAt: completedAt }), attempt)).toBeUndefined();
    expect(planRetry(verdict({ status: 'timed_out', installedAt: completedAt }), attempt)).toBeUndefined();
  });
  test('is not made after the last', () => {
    expect(planRetry(verdict({ resultCode: 2 }), { ...attempt, attempt: 3 })).toBeUndefined();
  });
  test('is not made while one runs', () => {
    expect(planRetry(verdict({ status: 'downloading', completedAt: null }), attempt)).toBeUndefined();
  });

  const silent = verdict({ status: 'timed_out', acknowledgedAt: null });
  test('goes to the other topic family when the command was delivered and nobody heeded it', () => {
    expect(planRetry(silent, attempt)?.family).toBe('edge');
    expect(planRetry(silent, { ...attempt, family: 'edge' })?.family).toBe('devices');
  });
  test('stays on the family if the device was asleep and did not receive the command', () => {
    expect(planRetry(silent, { ...attempt, isDelivered: false })?.family).toBe('devices');
  });
  test('stays on the family that was acknowledged', () => {
    expect(planRetry(verdict({ status: 'timed_out' }), attempt)?.family).toBe('devices');
  });

  test('answers directly if a download behind a redirect failed and the image is small enough', () => {
    const opened = { ...attempt, linkOpened: true };
    const failed = verdict({ resultCode: 2 });
    expect(planRetry(failed, opened)?.delivery).toBe('direct');
    expect(planRetry(failed, { ...opened, imageBytes: DIRECT_MAX_BYTES + 1 })?.delivery).toBe('redirect');
    expect(planRetry(failed, attempt)?.delivery).toBe('redirect');
    expect(planRetry(failed, { ...opened, delivery: 'presigned' })?.delivery).toBe('presigned');
  });

  test('waits four times as long each time, up to an hour, plus or minus half', () => {
    for (const [n, base] of [
      [1, 2],
      [2, 8],
      [3, 32],
      [4, 60],
      [9, 60],
    ] as const) {
      expect(waited(n)).toBeGreaterThanOrEqual(base * 0.5);
      expect(waited(n)).toBeLessThan(base * 1.5);
    }
  });
  test('is spread over a fleet, and always at the same time for one attempt', () => {
    expect(new Set(Array.from({ length: 100 }, (_, id) => Math.round(waited(1, id) * 10))).size).toBeGreaterThan(15);
    expect(waited(1)).toBe(waited(1));
  });
});
