import { describe, expect, test } from 'vitest';
import { DIRECT_MAX_BYTES, type EndedAttempt, planRetry } from '../../../core/policy/retry-policy.ts';
import type { AttemptVerdict } from '../../../core/policy/update-policy.ts';

const completedAt = new Date('2026-03-01T12:00:00Z');
const judgement = (given: Partial<AttemptVerdict>): AttemptVerdict => ({
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
  const retry = planRetry(judgement({ resultCode: 2 }), { ...attempt, updateId, attempt: n, maxAttempts: 20 });
  return ((retry?.notBefore.getTime() ?? 0) - completedAt.getTime()) / 60_000;
};

describe('result codes', () => {
  test.each([1, 2, 7, 10, null])('%s may pass: another attempt', (resultCode) => {
    expect(planRetry(judgement({ resultCode }), attempt)).toBeDefined();
  });
  test.each([3, 4, 5, 6, 8, 9, 11])('%s will not pass with this image: final', (resultCode) => {
    expect(planRetry(judgement({ resultCode }), attempt)).toBeUndefined();
  });
});

describe('another attempt', () => {
  test('is not made for what was written: only the device can say whether it boots', () => {
    expect(planRetry(judgement({ status: 'rolled_back', installedAt: completedAt }), attempt)).toBeUndefined();
    expect(planRetry(judgement({ status: 'timed_out', installedAt: completedAt }), attempt)).toBeUndefined();
  });
  test('is not made after the last', () => {
    expect(planRetry(judgement({ resultCode: 2 }), { ...attempt, attempt: 3 })).toBeUndefined();
  });
  test('is not made while one runs', () => {
    expect(planRetry(judgement({ status: 'downloading', completedAt: null }), attempt)).toBeUndefined();
  });

  const silent = judgement({ status: 'timed_out', acknowledgedAt: null });
  test('goes to the other topic family when the command was delivered and nobody heeded it', () => {
    expect(planRetry(silent, attempt)?.family).toBe('edge');
    expect(planRetry(silent, { ...attempt, family: 'edge' })?.family).toBe('devices');
  });
  test('stays on the family when the device was asleep: it never had the command', () => {
    expect(planRetry(silent, { ...attempt, isDelivered: false })?.family).toBe('devices');
  });
  test('stays on the family that was acknowledged', () => {
    expect(planRetry(judgement({ status: 'timed_out' }), attempt)?.family).toBe('devices');
  });

  test('answers directly when a download behind a redirect failed and the image is small enough', () => {
    const opened = { ...attempt, linkOpened: true };
    const failed = judgement({ resultCode: 2 });
    expect(planRetry(failed, opened)?.delivery).toBe('direct');
    expect(planRetry(failed, { ...opened, imageBytes: DIRECT_MAX_BYTES + 1 })?.delivery).toBe('redirect');
    expect(planRetry(failed, attempt)?.delivery).toBe('redirect');
    expect(planRetry(failed, { ...opened, delivery: 'presigned' })?.delivery).toBe('presigned');
  });

  test('waits four times as long each time, up to an hour, give or take a half', () => {
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
  test('does not come from a whole fleet at once, and comes at the same time however often it is planned', () => {
    expect(new Set(Array.from({ length: 100 }, (_, id) => Math.round(waited(1, id) * 10))).size).toBeGreaterThan(15);
    expect(waited(1)).toBe(waited(1));
  });
});
