import { describe, expect, test } from 'vitest';
import { DIRECT_MAX_BYTES, type EndedAttempt, planRetry } from '../../../core/policy/retry-policy.ts';
import type { AttemptVerdict } from '../../../core/policy/update-policy.ts';

const completedAt = new Date('2026-03-01T12:00:00Z');
const verdict = (given: Partial<AttemptVerdict>): AttemptVerdict => ({
  status: 'failed',
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
};
const waited = (n: number, updateId = 7) => {
  const retry = planRetry(verdict({ resultCode: 2 }), { ...attempt, updateId, attempt: n, maxAttempts: 20 });
  return ((retry?.notBefore.getTime() ?? 0) - completedAt.getTime()) / 60_000;
};

describe('result codes', () => {
  test.each([1, 2, 7, 10, null])('%s is temporary: there is another attempt', (resultCode) => {
    expect(planRetry(verdict({ resultCode }), attempt)).toBeDefined();
  });
  test.each([3, 4, 5, 6, 8, 9, 11])('%s is permanent: the failure is final', (resultCode) => {
    expect(planRetry(verdict({ resultCode }), attempt)).toBeUndefined();
  });
});

describe('another attempt', () => {
  test('is not made for an installed image, because only the device can tell whether it boots', () => {
    expect(planRetry(verdict({ status: 'rolled_back', installedAt: completedAt }), attempt)).toBeUndefined();
    expect(planRetry(verdict({ status: 'timed_out', installedAt: completedAt }), attempt)).toBeUndefined();
  });
  test('is not made after the last attempt', () => {
    expect(planRetry(verdict({ resultCode: 2 }), { ...attempt, attempt: 3 })).toBeUndefined();
  });
  test('is not made while an attempt is open', () => {
    expect(planRetry(verdict({ status: 'downloading', completedAt: null }), attempt)).toBeUndefined();
  });

  const silent = verdict({ status: 'timed_out', acknowledgedAt: null });
  test('uses the other topic family if the command was delivered but not acted on', () => {
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
