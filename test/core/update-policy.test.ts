import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AttemptFacts, type BootReport, judgeAttempt } from '../../core/update-policy.ts';

const times = { attemptTimeoutMinutes: 15, confirmTimeoutMinutes: 15, survivalMinutes: 5 };
const sentAt = new Date('2026-01-01T12:00:00Z');
const at = (seconds: number) => new Date(sentAt.getTime() + seconds * 1000);
const boot = (seconds: number, version: string, uptimeSeconds: number | null = null): BootReport => ({
  version,
  receivedAt: at(seconds),
  uptimeSeconds,
});

const silent: AttemptFacts = {
  targetVersion: '2.0.0',
  previousVersion: '1.0.0',
  sentAt,
  acknowledgedAt: null,
  lastReportAt: null,
  furthestState: null,
  percent: null,
  result: null,
  boots: [],
};
const written: AttemptFacts = {
  ...silent,
  acknowledgedAt: at(1),
  lastReportAt: at(60),
  furthestState: 'installing',
  percent: 100,
  result: { receivedAt: at(60), success: true, code: 0, message: 'Success' },
};

describe('before a result', () => {
  test('a command without an answer stays sent until its deadline', () => {
    expect(judgeAttempt(silent, times, at(899))).toMatchObject({ status: 'sent', deadlineAt: at(900), closedAt: null });
  });

  test('a command that was never answered times out', () => {
    const judged = judgeAttempt(silent, times, at(900));
    expect(judged).toMatchObject({ status: 'timed_out', closedAt: at(900) });
    expect(judged.errorMessage).toBe('no answer to the command within 15 min');
  });

  test('each report puts the deadline off', () => {
    const facts = { ...silent, acknowledgedAt: at(1), lastReportAt: at(600), furthestState: 'downloading' as const };
    expect(judgeAttempt(facts, times, at(1_400))).toMatchObject({ status: 'downloading', deadlineAt: at(1_500) });
    expect(judgeAttempt(facts, times, at(1_500)).errorMessage).toBe('no progress for 15 min while downloading');
  });

  test('a failure is final at once, with what the device said', () => {
    const result = { receivedAt: at(9), success: false, code: 2, message: 'Download failed' };
    expect(judgeAttempt({ ...written, result }, times, at(10))).toMatchObject({
      status: 'failed',
      resultCode: 2,
      errorMessage: 'Download failed',
      closedAt: at(9),
    });
  });
});

describe('written is not running', () => {
  test('success is provisional until the new version reports', () => {
    expect(judgeAttempt(written, times, at(61))).toMatchObject({
      status: 'success',
      confirmedAt: null,
      closedAt: null,
    });
  });

  test('the new version confirms it, and surviving makes it final', () => {
    const facts = { ...written, boots: [boot(75, '2.0.0', 5)] };
    expect(judgeAttempt(facts, times, at(76))).toMatchObject({
      confirmedAt: at(75),
      deadlineAt: at(375),
      closedAt: null,
    });
    expect(judgeAttempt(facts, times, at(375))).toMatchObject({ status: 'success', closedAt: at(375) });
  });

  test('the old version after a reboot is a rollback', () => {
    const facts = { ...written, boots: [boot(100, '1.0.0', 20)] };
    expect(judgeAttempt(facts, times, at(101))).toMatchObject({ status: 'rolled_back', closedAt: at(100) });
  });

  test('the old version that dies after a first report of the new one is a rollback too', () => {
    const facts = { ...written, boots: [boot(75, '2.0.0', 5), boot(140, '1.0.0', 3)] };
    expect(judgeAttempt(facts, times, at(141))).toMatchObject({ status: 'rolled_back', confirmedAt: at(75) });
  });

  test('a version that was neither sent nor there before is what the image calls itself', () => {
    const facts = { ...written, boots: [boot(100, '1.9.9', 20)] };
    expect(judgeAttempt(facts, times, at(101))).toMatchObject({
      status: 'failed',
      unexpectedVersion: '1.9.9',
      closedAt: at(100),
    });
  });

  test('where it is not known what ran before, another version is a rollback', () => {
    const facts = { ...written, previousVersion: null, boots: [boot(100, '1.9.9', 20)] };
    expect(judgeAttempt(facts, times, at(101)).status).toBe('rolled_back');
  });

  test('the old version long after the new one has survived changes nothing', () => {
    const facts = { ...written, boots: [boot(75, '2.0.0', 5), boot(5_000, '1.0.0', 3)] };
    expect(judgeAttempt(facts, times, at(5_001))).toMatchObject({ status: 'success', closedAt: at(375) });
  });

  test.each([
    ['a heartbeat of the old image before the reboot', boot(62, '1.0.0', 4_000)],
    ['a heartbeat without an uptime within 20 s', boot(79, '1.0.0')],
    ['an uptime that reaches back before the result', boot(160, '1.0.0', 200)],
  ])('%s proves nothing', (_, report) => {
    expect(judgeAttempt({ ...written, boots: [report] }, times, at(161)).status).toBe('success');
  });

  test('silence after the result times out', () => {
    const judged = judgeAttempt(written, times, at(60 + 900));
    expect(judged).toMatchObject({ status: 'timed_out', closedAt: at(960) });
    expect(judged.errorMessage).toBe('written, but 2.0.0 was not reported within 15 min');
  });

  test('the new version confirms an update whose result was lost', () => {
    expect(judgeAttempt({ ...silent, boots: [boot(80, '2.0.0')] }, times, at(81))).toMatchObject({
      status: 'success',
      writtenAt: at(80),
      confirmedAt: at(80),
    });
  });
});

test('a device that is slow to reboot is never rolled back', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ after: fc.integer({ min: 0, max: 800 }), uptime: fc.integer({ min: 0, max: 10_000 }) })),
      (heartbeats) => {
        // Uptime counts on through the wait: the device has not rebooted, so it was up before the result.
        const boots = heartbeats
          .map(({ after, uptime }) => boot(60 + after, '1.0.0', after + uptime))
          .sort((a, b) => a.receivedAt.getTime() - b.receivedAt.getTime());
        expect(judgeAttempt({ ...written, boots }, times, at(870)).status).not.toBe('rolled_back');
      },
    ),
  );
});
