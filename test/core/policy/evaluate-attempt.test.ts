import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AttemptFacts,
  type AttemptVerdict,
  type Habits,
  REPORTED_STATES,
  type ReportedState,
  type ResultReport,
  type StatusReport,
  silenceSeconds,
} from '../../../core/policy/attempt-facts.ts';
import { evaluateAttempt } from '../../../core/policy/evaluate-attempt.ts';

const times = { attemptTimeoutMinutes: 15, bootTimeoutMinutes: 15, probationMinutes: 5 };
const habits: Habits = { reportIntervalSeconds: 60, restartsPerHour: 0 };
const sentAt = new Date('2026-01-01T12:00:00Z');
const at = (seconds: number) => new Date(sentAt.getTime() + seconds * 1000);
const status = (seconds: number, version: string, uptimeSeconds: number | null = null): StatusReport => ({
  version,
  receivedAt: at(seconds),
  uptimeSeconds,
});
const result = (seconds: number, code: number, message: string | null = null): ResultReport => ({
  receivedAt: at(seconds),
  success: code === 0,
  code,
  message,
});

const sent: AttemptFacts = {
  targetVersion: '2.0.0',
  previousVersion: '1.0.0',
  sentAt,
  acknowledgedAt: null,
  lastReportAt: null,
  linkOpenedAt: null,
  lastProgressAt: null,
  furthestState: null,
  percent: null,
  failedAt: null,
  results: [],
  decline: null,
  statuses: [],
};
const downloading: AttemptFacts = {
  ...sent,
  acknowledgedAt: at(1),
  lastReportAt: at(3),
  linkOpenedAt: at(3),
  furthestState: 'downloading',
};
const written: AttemptFacts = {
  ...downloading,
  lastReportAt: at(60),
  lastProgressAt: at(58),
  furthestState: 'installing',
  percent: 100,
  results: [result(60, 0, 'Success')],
};
const evaluate = (facts: AttemptFacts, seconds: number, own = habits) =>
  evaluateAttempt(facts, times, own, at(seconds));

describe('an update succeeds only by a message', () => {
  const booted = { ...written, statuses: [status(75, '2.0.0', 5)] };

  test('the first status of the new version puts it on probation', () => {
    expect(evaluate(booted, 76)).toMatchObject({ status: 'success', bootedAt: at(75), completedAt: null });
  });

  test('the end of the probation alone proves nothing', () => {
    expect(evaluate(booted, 375)).toMatchObject({ status: 'success', completedAt: null, deadlineAt: at(675) });
  });

  test('a status of the new version at the end of the probation proves it', () => {
    const proven = { ...booted, statuses: [...booted.statuses, status(375, '2.0.0', 305)] };
    expect(evaluate(proven, 376)).toMatchObject({ status: 'success', completedAt: at(375), cause: null });
  });

  test('a status one second before the end does not', () => {
    const early = { ...booted, statuses: [...booted.statuses, status(374, '2.0.0', 304)] };
    expect(evaluate(early, 376).completedAt).toBeNull();
  });

  test('a device that boots, reports once and dies went silent', () => {
    const verdict = evaluate(booted, 675);
    expect(verdict).toMatchObject({ status: 'timed_out', cause: 'silence', completedAt: at(675), bootedAt: at(75) });
    expect(verdict.errorMessage).toBe('went silent after booting 2.0.0: last heard at 2026-01-01T12:01:15.000Z');
  });

  test('it gets five of its usual reports, at least one probation and at most 48 h', () => {
    expect(silenceSeconds({ ...habits, reportIntervalSeconds: 1 }, 5)).toBe(300);
    expect(silenceSeconds({ ...habits, reportIntervalSeconds: 3600 }, 5)).toBe(5 * 3600);
    expect(silenceSeconds({ ...habits, reportIntervalSeconds: 30 * 3600 }, 5)).toBe(48 * 3600);
  });

  test('the new version proves an update whose result was lost', () => {
    const facts = { ...sent, statuses: [status(80, '2.0.0'), status(380, '2.0.0')] };
    expect(evaluate(facts, 381)).toMatchObject({ status: 'success', installedAt: at(80), completedAt: at(380) });
  });

  test('another build than the one that was sent proves nothing', () => {
    const facts = {
      ...written,
      targetVersion: '2.0.0+8',
      statuses: [status(100, '2.0.0+7', 20), status(400, '2.0.0+7', 320)],
    };
    expect(evaluate(facts, 401)).toMatchObject({ status: 'failed', unexpectedVersion: '2.0.0+7' });
  });
});

describe('a device that leaves the new version before it is proven', () => {
  test('was rolled back', () => {
    const facts = { ...written, statuses: [status(75, '2.0.0', 5), status(140, '1.0.0', 3)] };
    expect(evaluate(facts, 141)).toMatchObject({ status: 'rolled_back', cause: 'build', completedAt: at(140) });
  });

  test('was rolled back, even if the message is processed after the proof', () => {
    const facts = {
      ...written,
      statuses: [status(75, '2.0.0', 5), status(140, '1.0.0', 3), status(400, '1.0.0', 263)],
    };
    expect(evaluate(facts, 9_000)).toMatchObject({ status: 'rolled_back', completedAt: at(140) });
  });

  test('after the proof changes nothing here', () => {
    const facts = {
      ...written,
      statuses: [status(75, '2.0.0', 5), status(380, '2.0.0', 310), status(5_000, '1.0.0', 3)],
    };
    expect(evaluate(facts, 5_001)).toMatchObject({ status: 'success', completedAt: at(380) });
  });

  test('and sends no uptime needs two statuses', () => {
    const once = { ...written, statuses: [status(75, '2.0.0'), status(140, '1.0.0')] };
    expect(evaluate(once, 141).status).toBe('success');
    const twice = { ...once, statuses: [...once.statuses, status(200, '1.0.0')] };
    expect(evaluate(twice, 201)).toMatchObject({ status: 'rolled_back', completedAt: at(200) });
  });
});

describe('a crash loop', () => {
  const every = (seconds: number, count: number, uptime: number | null) => ({
    ...written,
    statuses: Array.from({ length: count }, (_, n) => status(75 + n * seconds, '2.0.0', uptime)),
  });

  test('of an always-on device fails the update, although it reports the new version after the probation', () => {
    const verdict = evaluate(every(20, 30, 3), 800);
    expect(verdict).toMatchObject({ status: 'failed', cause: 'build', bootedAt: at(75), completedAt: at(135) });
    expect(verdict.errorMessage).toBe('2.0.0 restarted 3 times within 1 min of its first boot');
  });

  test('of a device without an uptime shows by reports that come too often', () => {
    expect(evaluate(every(20, 30, null), 800)).toMatchObject({ status: 'failed', cause: 'build' });
  });

  test('is not a deep sleeper that restarts at each wake, as it did before', () => {
    const sleeper = { reportIntervalSeconds: 60, restartsPerHour: 60 };
    expect(evaluate(every(60, 6, 2), 376, sleeper)).toMatchObject({ status: 'success', completedAt: at(375) });
  });

  test('is not a device that reports at its usual rate', () => {
    expect(evaluate(every(60, 6, null), 376)).toMatchObject({ status: 'success', completedAt: at(375) });
    const window = { reportIntervalSeconds: 30, restartsPerHour: 0 };
    expect(evaluate(every(30, 11, null), 376, window)).toMatchObject({ status: 'success', completedAt: at(375) });
  });

  test('is not a single crash', () => {
    const facts = {
      ...written,
      statuses: [status(75, '2.0.0', 5), status(140, '2.0.0', 3), status(380, '2.0.0', 243)],
    };
    expect(evaluate(facts, 381)).toMatchObject({ status: 'success', completedAt: at(380) });
  });
});

describe('before the image is written', () => {
  test('a command without an answer stays sent until its deadline', () => {
    expect(evaluate(sent, 899)).toMatchObject({ status: 'sent', deadlineAt: at(900), completedAt: null });
  });

  test('a command that was never answered did not reach its device', () => {
    const verdict = evaluate(sent, 900);
    expect(verdict).toMatchObject({ status: 'timed_out', cause: 'not_reached', completedAt: at(900) });
    expect(verdict.errorMessage).toBe('no answer to the command within 15 min');
  });

  test('progress extends the deadline only if it progresses', () => {
    const facts = { ...downloading, lastProgressAt: at(600), lastReportAt: at(1_400) };
    expect(evaluate(facts, 1_499)).toMatchObject({ status: 'downloading', deadlineAt: at(1_500) });
    expect(evaluate(facts, 1_500)).toMatchObject({ status: 'timed_out' });
  });

  test('progress extends the deadline up to a cap from the send', () => {
    const facts = { ...downloading, lastProgressAt: at(3_500), lastReportAt: at(3_500) };
    expect(evaluate(facts, 3_599)).toMatchObject({ deadlineAt: at(3_600), completedAt: null });
    expect(evaluate(facts, 3_600)).toMatchObject({ status: 'timed_out', completedAt: at(3_600) });
  });

  test('a device that fetched and was never heard of again went silent', () => {
    expect(evaluate(downloading, 903)).toMatchObject({
      status: 'timed_out',
      cause: 'silence',
      errorMessage: 'went silent while downloading',
    });
  });

  test('a device that fetched and still reports has a slow network', () => {
    const facts = { ...downloading, statuses: [status(600, '1.0.0', 90_000)] };
    expect(evaluate(facts, 903)).toMatchObject({ status: 'timed_out', cause: 'delivery' });
  });

  test('the state Failed ends the attempt without a result', () => {
    expect(evaluate({ ...downloading, failedAt: at(50) }, 51)).toMatchObject({ status: 'failed', completedAt: at(50) });
  });

  test('a restart during the download ends the attempt at once', () => {
    const facts = { ...downloading, statuses: [status(90, '1.0.0', 10)] };
    expect(evaluate(facts, 91)).toMatchObject({
      status: 'failed',
      cause: 'delivery',
      isTransient: true,
      completedAt: at(90),
      errorMessage: 'the device restarted during the download',
    });
  });

  test('a restart after the command was accepted, and before the link was opened, ends the attempt at once', () => {
    const facts = { ...sent, acknowledgedAt: at(1), statuses: [status(90, '1.0.0', 10)] };
    expect(evaluate(facts, 91)).toMatchObject({
      status: 'failed',
      cause: 'delivery',
      isTransient: true,
      completedAt: at(90),
      errorMessage: 'the device restarted before it opened the link',
    });
    expect(evaluate({ ...facts, statuses: [status(90, '1.0.0', 4_000)] }, 91)).toMatchObject({ status: 'sent' });
  });

  test('a restart after the device declined changes nothing', () => {
    const results = [result(2, 10, 'heater is running, try later')];
    const facts = { ...sent, acknowledgedAt: at(2), results, statuses: [status(90, '1.0.0', 10)] };
    expect(evaluate(facts, 91)).toMatchObject({ cause: 'declined', completedAt: at(2) });
  });

  test('a restart into the old version after the image was written is a rollback whose result was lost', () => {
    const facts = { ...downloading, furthestState: 'installing' as const, statuses: [status(90, '1.0.0', 10)] };
    expect(evaluate(facts, 91)).toMatchObject({ status: 'rolled_back', cause: 'build', isTransient: false });
  });
});

describe('causes of a failed result', () => {
  const cases: [string, AttemptFacts, Partial<AttemptVerdict>][] = [
    [
      'verification failed after our bytes were fetched',
      { ...downloading, results: [result(50, 3)] },
      { cause: 'build', isTransient: false },
    ],
    [
      'verification failed, and the link was never opened',
      { ...sent, acknowledgedAt: at(1), results: [result(9, 3)] },
      { cause: 'delivery', isTransient: true },
    ],
    [
      'invalid firmware, and the link was never opened',
      { ...sent, acknowledgedAt: at(1), results: [result(9, 9)] },
      { cause: 'delivery', isTransient: true },
    ],
    ['download failed', { ...downloading, results: [result(50, 2)] }, { cause: 'delivery', isTransient: true }],
    [
      'a code outside the table',
      { ...downloading, results: [result(50, -11)] },
      { cause: 'delivery', isTransient: true },
    ],
    ['not enough space', { ...downloading, results: [result(50, 8)] }, { cause: 'build', isTransient: false }],
  ];
  test.each(cases)('%s', (_, facts, expected) => {
    expect(evaluate(facts, 100)).toMatchObject({ status: 'failed', ...expected });
  });

  test('a device that failed without opening its link is told apart in words', () => {
    const { errorMessage } = evaluate({ ...sent, acknowledgedAt: at(1), results: [result(9, 3, 'Bad checksum')] }, 10);
    expect(errorMessage).toBe(
      'verification failed (3): Bad checksum. The link was never opened: something on its network answered instead',
    );
  });
});

describe('a device that does not want the update now', () => {
  test('declined, if code 10 is all that it says', () => {
    const facts = { ...sent, acknowledgedAt: at(1), results: [result(2, 10, 'heater is running, try later')] };
    expect(evaluate(facts, 3)).toMatchObject({
      status: 'failed',
      cause: 'declined',
      errorMessage: 'the device declined: heater is running, try later',
    });
  });

  test('did not decline, if the update runs: a second command met it', () => {
    const facts = { ...downloading, results: [result(20, 10)] };
    expect(evaluate(facts, 21)).toMatchObject({ status: 'downloading', completedAt: null });
  });

  test('code 10 before the success does not hide the success', () => {
    const facts = { ...written, results: [result(20, 10), result(60, 0)] };
    expect(evaluate(facts, 61)).toMatchObject({ status: 'success', installedAt: at(60), completedAt: null });
  });

  test('declined by a status that is not "accepted", with its reason', () => {
    const decline = { receivedAt: at(2), reason: 'battery low', retryAfterSeconds: 600 };
    expect(evaluate({ ...sent, acknowledgedAt: at(2), decline }, 3)).toMatchObject({ cause: 'declined' });
  });
});

describe('after the image was written', () => {
  test('the update waits for the new version', () => {
    expect(evaluate(written, 61)).toMatchObject({ status: 'success', bootedAt: null, completedAt: null });
  });

  test('the old version after a reboot is a rollback', () => {
    const facts = { ...written, statuses: [status(100, '1.0.0', 20)] };
    expect(evaluate(facts, 101)).toMatchObject({ status: 'rolled_back', cause: 'build', completedAt: at(100) });
  });

  test('a third version is the name that the image has', () => {
    const facts = { ...written, statuses: [status(100, '1.9.9', 20)] };
    expect(evaluate(facts, 101)).toMatchObject({ status: 'failed', unexpectedVersion: '1.9.9' });
  });

  test('an uptime that reaches back before the write shows that the reboot is postponed', () => {
    const facts = { ...written, statuses: [status(1_000, '1.0.0', 90_000)] };
    expect(evaluate(facts, 1_299)).toMatchObject({ status: 'success', deadlineAt: at(1_300), completedAt: null });
  });

  test('a device that goes silent before it reboots went silent', () => {
    const facts = { ...written, statuses: [status(1_000, '1.0.0', 90_000)] };
    expect(evaluate(facts, 1_300)).toMatchObject({ status: 'timed_out', cause: 'silence' });
  });

  test('a reboot is postponed for a day at most, and then the device declined', () => {
    const statuses = Array.from({ length: 400 }, (_, n) => status(240 * (n + 1), '1.0.0', 90_000 + 240 * (n + 1)));
    const verdict = evaluate({ ...written, statuses }, 60 + 86_400);
    expect(verdict).toMatchObject({ status: 'timed_out', cause: 'declined', completedAt: at(60 + 86_400) });
  });

  test.each([
    ['a heartbeat of the old image before the reboot', status(62, '1.0.0', 4_000)],
    ['a heartbeat without an uptime within 20 s', status(79, '1.0.0')],
    ['one heartbeat without an uptime: the reboot may be slow', status(500, '1.0.0')],
  ])('%s proves nothing', (_, report) => {
    expect(evaluate({ ...written, statuses: [report] }, 501).completedAt).toBeNull();
  });

  test('two heartbeats of the old version without an uptime are a rollback at the boot timeout', () => {
    const facts = { ...written, statuses: [status(500, '1.0.0'), status(560, '1.0.0')] };
    expect(evaluate(facts, 959).completedAt).toBeNull();
    expect(evaluate(facts, 960)).toMatchObject({ status: 'rolled_back', completedAt: at(960) });
  });

  test('silence after the write is silence', () => {
    expect(evaluate(written, 960)).toMatchObject({
      status: 'timed_out',
      cause: 'silence',
      errorMessage: 'installed, but 2.0.0 was not reported within 15 min',
    });
  });

  test('a device that sleeps for an hour is waited for as long as five of its reports take', () => {
    const sleeper = { ...habits, reportIntervalSeconds: 3600 };
    expect(evaluate(written, 60 + 5 * 3600 - 1, sleeper)).toMatchObject({ completedAt: null });
    expect(evaluate(written, 60 + 5 * 3600, sleeper)).toMatchObject({ status: 'timed_out', cause: 'silence' });
  });

  test('two statuses without an uptime decide as soon as the second comes after the boot timeout', () => {
    const sleeper = { ...habits, reportIntervalSeconds: 3600 };
    const facts = { ...written, statuses: [status(500, '1.0.0'), status(4100, '1.0.0')] };
    expect(evaluate(facts, 4100, sleeper)).toMatchObject({ status: 'rolled_back', completedAt: at(4100) });
  });
});

describe('for any facts', () => {
  const seconds = fc.nat(200_000);
  const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
  const time = seconds.map(at);
  const byTime = <T extends { receivedAt: Date }>(list: T[]) =>
    [...list].sort((a, b) => a.receivedAt.getTime() - b.receivedAt.getTime());
  const facts = fc.record({
    targetVersion: fc.constant('2.0.0'),
    previousVersion: fc.constantFrom('1.0.0', null),
    sentAt: fc.constant(sentAt),
    acknowledgedAt: maybe(time),
    lastReportAt: maybe(time),
    linkOpenedAt: maybe(time),
    lastProgressAt: maybe(time),
    furthestState: fc.constantFrom<ReportedState | null>(null, ...REPORTED_STATES),
    percent: maybe(fc.nat(100)),
    failedAt: maybe(time),
    results: fc
      .array(
        fc.record({
          receivedAt: time,
          success: fc.boolean(),
          code: maybe(fc.integer({ min: -20, max: 12 })),
          message: fc.constant(null),
        }),
        { maxLength: 3 },
      )
      .map(byTime),
    decline: maybe(fc.record({ receivedAt: time, reason: fc.string(), retryAfterSeconds: fc.constant(null) })),
    statuses: fc
      .array(
        fc.record({
          receivedAt: time,
          version: fc.constantFrom('1.0.0', '2.0.0', '1.9.9'),
          uptimeSeconds: maybe(fc.nat(100_000)),
        }),
        { maxLength: 8 },
      )
      .map(byTime),
  });

  test('success implies a status of the new version that was received after the probation', () => {
    fc.assert(
      fc.property(facts, seconds, (given, now) => {
        const { status: state, completedAt, bootedAt } = evaluate(given, now);
        if (state !== 'success' || completedAt === null) return;
        expect(bootedAt).not.toBeNull();
        expect(completedAt.getTime()).toBeGreaterThanOrEqual((bootedAt?.getTime() ?? 0) + 300_000);
        const proofs = given.statuses.filter(({ receivedAt }) => receivedAt.getTime() === completedAt.getTime());
        expect(proofs.map(({ version }) => version)).toContain('2.0.0');
      }),
      { numRuns: 2_000 },
    );
  });

  test('every update ends: closed, or open with a deadline that lies ahead', () => {
    fc.assert(
      fc.property(facts, seconds, (given, now) => {
        const { completedAt, deadlineAt, cause, status: state } = evaluate(given, now);
        if (completedAt === null) expect(deadlineAt?.getTime() ?? 0).toBeGreaterThan(at(now).getTime());
        else expect(cause === null).toBe(state === 'success');
        expect(evaluate(given, 10_000_000).completedAt).not.toBeNull();
      }),
      { numRuns: 2_000 },
    );
  });

  test('a verdict by message stays, however late it is evaluated', () => {
    fc.assert(
      fc.property(facts, seconds, seconds, (given, now, later) => {
        const first = evaluate(given, now);
        if (first.completedAt === null || first.status === 'timed_out') return;
        expect(evaluate(given, now + later)).toEqual(first);
      }),
      { numRuns: 2_000 },
    );
  });
});
