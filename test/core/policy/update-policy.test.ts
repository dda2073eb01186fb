import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AttemptFacts,
  type BootReport,
  evaluateAttempt,
  REPORTED_STATES,
  type ReportedState,
  type ResultReport,
} from '../../../core/policy/update-policy.ts';
import { UPDATE_STATES, type UpdateState } from '../../../core/policy/update-states.ts';

const times = { attemptTimeoutMinutes: 15, bootTimeoutMinutes: 15, probationMinutes: 5 };
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
  test('a command without a response stays sent until its deadline', () => {
    expect(evaluateAttempt(silent, times, at(899))).toMatchObject({
      status: 'sent',
      deadlineAt: at(900),
      completedAt: null,
    });
  });

  test('a command without a response times out', () => {
    const verdict = evaluateAttempt(silent, times, at(900));
    expect(verdict).toMatchObject({ status: 'timed_out', completedAt: at(900) });
    expect(verdict.errorMessage).toBe('no answer to the command within 15 min');
  });

  test('each report extends the deadline', () => {
    const facts = { ...silent, acknowledgedAt: at(1), lastReportAt: at(600), furthestState: 'downloading' as const };
    expect(evaluateAttempt(facts, times, at(1_400))).toMatchObject({ status: 'downloading', deadlineAt: at(1_500) });
    expect(evaluateAttempt(facts, times, at(1_500)).errorMessage).toBe('no progress for 15 min while downloading');
  });

  test('a failure is final at once, with the message of the device', () => {
    const result = { receivedAt: at(9), success: false, code: 2, message: 'Download failed' };
    expect(evaluateAttempt({ ...written, result }, times, at(10))).toMatchObject({
      status: 'failed',
      resultCode: 2,
      errorMessage: 'Download failed',
      completedAt: at(9),
    });
  });
});

describe('installed is not booted', () => {
  test('success is provisional until the new version reports', () => {
    expect(evaluateAttempt(written, times, at(61))).toMatchObject({
      status: 'success',
      bootedAt: null,
      completedAt: null,
    });
  });

  test('the new version confirms the boot, and the end of probation makes it final', () => {
    const facts = { ...written, boots: [boot(75, '2.0.0', 5)] };
    expect(evaluateAttempt(facts, times, at(76))).toMatchObject({
      bootedAt: at(75),
      deadlineAt: at(375),
      completedAt: null,
    });
    expect(evaluateAttempt(facts, times, at(375))).toMatchObject({ status: 'success', completedAt: at(375) });
  });

  test('the old version after a reboot is a rollback', () => {
    const facts = { ...written, boots: [boot(100, '1.0.0', 20)] };
    expect(evaluateAttempt(facts, times, at(101))).toMatchObject({ status: 'rolled_back', completedAt: at(100) });
  });

  test('the old version after a first report of the new one is a rollback too', () => {
    const facts = { ...written, boots: [boot(75, '2.0.0', 5), boot(140, '1.0.0', 3)] };
    expect(evaluateAttempt(facts, times, at(141))).toMatchObject({ status: 'rolled_back', bootedAt: at(75) });
  });

  test('a version that was neither sent nor installed before is the version that the image embeds', () => {
    const facts = { ...written, boots: [boot(100, '1.9.9', 20)] };
    expect(evaluateAttempt(facts, times, at(101))).toMatchObject({
      status: 'failed',
      unexpectedVersion: '1.9.9',
      completedAt: at(100),
    });
  });

  test('another version is a rollback if the previous version is unknown', () => {
    const facts = { ...written, previousVersion: null, boots: [boot(100, '1.9.9', 20)] };
    expect(evaluateAttempt(facts, times, at(101)).status).toBe('rolled_back');
  });

  test('the old version long after the end of probation changes nothing', () => {
    const facts = { ...written, boots: [boot(75, '2.0.0', 5), boot(5_000, '1.0.0', 3)] };
    expect(evaluateAttempt(facts, times, at(5_001))).toMatchObject({ status: 'success', completedAt: at(375) });
  });

  test.each([
    ['a heartbeat of the old image before the reboot', boot(62, '1.0.0', 4_000)],
    ['a heartbeat without an uptime within 20 s', boot(79, '1.0.0')],
    ['an uptime that started before the result', boot(160, '1.0.0', 200)],
  ])('%s proves nothing', (_, report) => {
    expect(evaluateAttempt({ ...written, boots: [report] }, times, at(161)).status).toBe('success');
  });

  test('silence after the result times out', () => {
    const verdict = evaluateAttempt(written, times, at(60 + 900));
    expect(verdict).toMatchObject({ status: 'timed_out', completedAt: at(960) });
    expect(verdict.errorMessage).toBe('installed, but 2.0.0 was not reported within 15 min');
  });

  test('the new version confirms an update whose result was lost', () => {
    expect(evaluateAttempt({ ...silent, boots: [boot(80, '2.0.0')] }, times, at(81))).toMatchObject({
      status: 'success',
      installedAt: at(80),
      bootedAt: at(80),
    });
  });
});

/** Facts for each state that an evaluation can give, at most five minutes after the command. */
const FACTS = {
  sent: silent,
  downloading: { ...silent, acknowledgedAt: at(1), lastReportAt: at(5), furthestState: 'downloading' },
  downloaded: { ...silent, acknowledgedAt: at(1), lastReportAt: at(5), furthestState: 'downloaded' },
  installing: { ...silent, acknowledgedAt: at(1), lastReportAt: at(5), furthestState: 'installing' },
  success: written,
  booted: { ...written, boots: [boot(100, '2.0.0', 5)] },
  failed: { ...written, result: { receivedAt: at(60), success: false, code: 4, message: 'no' } },
  rolled_back: { ...written, boots: [boot(100, '1.0.0', 5)] },
} as const satisfies Partial<Record<UpdateState | 'booted', AttemptFacts>>;
type FactsState = keyof typeof FACTS;

/** The next report, at 300 s. */
const reported = (facts: AttemptFacts, given: Partial<AttemptFacts>): AttemptFacts => ({
  ...facts,
  acknowledgedAt: facts.acknowledgedAt ?? at(300),
  lastReportAt: at(300),
  ...given,
});
const furthest = (facts: AttemptFacts, state: ReportedState): ReportedState =>
  REPORTED_STATES.findLast((each) => each === state || each === facts.furthestState) ?? state;
const result = (facts: AttemptFacts, code: number): ResultReport =>
  facts.result ?? { receivedAt: at(300), success: code === 0, code, message: null };
const seen = (facts: AttemptFacts, report: BootReport): AttemptFacts => ({ ...facts, boots: [...facts.boots, report] });

const EVENTS = {
  accepted: (facts) => reported(facts, {}),
  downloading: (facts) => reported(facts, { furthestState: furthest(facts, 'downloading') }),
  verifying: (facts) => reported(facts, { furthestState: furthest(facts, 'downloaded') }),
  installing: (facts) => reported(facts, { furthestState: furthest(facts, 'installing') }),
  written: (facts) => reported(facts, { result: result(facts, 0) }),
  failed: (facts) => reported(facts, { result: result(facts, 2) }),
  'new version': (facts) => seen(facts, boot(300, '2.0.0', 5)),
  'old version': (facts) => seen(facts, boot(300, '1.0.0', 90_000)),
  'old version, booted': (facts) => seen(facts, boot(300, '1.0.0', 5)),
  'another version, booted': (facts) => seen(facts, boot(300, '1.9.9', 5)),
  silence: (facts) => facts,
} satisfies Record<string, (facts: AttemptFacts) => AttemptFacts>;
type Event = keyof typeof EVENTS;
const events = Object.keys(EVENTS) as Event[];

const OPEN = ['sent', 'downloading', 'downloaded', 'installing', 'success', 'booted'];
const UNCHANGED = <S extends FactsState>(state: S) =>
  Object.fromEntries(events.map((event) => [event, state])) as Record<Event, S>;
const UNDER_WAY = { written: 'success', failed: 'failed', 'new version': 'booted', silence: 'timed_out' } as const;

const TABLE: Readonly<Record<FactsState, Readonly<Record<Event, FactsState | 'timed_out' | 'proven'>>>> = {
  sent: {
    ...UNCHANGED('sent'),
    ...UNDER_WAY,
    downloading: 'downloading',
    verifying: 'downloaded',
    installing: 'installing',
  },
  downloading: { ...UNCHANGED('downloading'), ...UNDER_WAY, verifying: 'downloaded', installing: 'installing' },
  downloaded: { ...UNCHANGED('downloaded'), ...UNDER_WAY, installing: 'installing' },
  installing: { ...UNCHANGED('installing'), ...UNDER_WAY },
  success: {
    ...UNCHANGED('success'),
    'new version': 'booted',
    'old version, booted': 'rolled_back',
    'another version, booted': 'failed',
    silence: 'timed_out',
  },
  booted: {
    ...UNCHANGED('booted'),
    'old version, booted': 'rolled_back',
    'another version, booted': 'failed',
    silence: 'proven',
  },
  failed: UNCHANGED('failed'),
  rolled_back: UNCHANGED('rolled_back'),
};

describe('every state and every event', () => {
  test('are in the table; an evaluation never gives pending or canceled', () => {
    const given = new Set<string>([
      ...Object.keys(FACTS),
      ...Object.values(TABLE).flatMap((row) => Object.values(row)),
    ]);
    expect(UPDATE_STATES.filter((state) => !given.has(state))).toEqual(['pending', 'canceled']);
  });

  const cells = Object.keys(FACTS).flatMap((state) => events.map((event) => [state as FactsState, event] as const));
  test.each(cells)('%s, then %s', (state, event) => {
    const now = event === 'silence' ? at(100_000) : at(301);
    const { status, bootedAt, completedAt, deadlineAt } = evaluateAttempt(EVENTS[event](FACTS[state]), times, now);
    const actual = status !== 'success' || bootedAt === null ? status : completedAt === null ? 'booted' : 'proven';
    expect(actual).toBe(TABLE[state][event]);
    expect({ isOpen: completedAt === null, hasDeadline: deadlineAt !== null }).toEqual({
      isOpen: OPEN.includes(actual),
      hasDeadline: OPEN.includes(actual),
    });
    expect(evaluateAttempt(FACTS[state], times, at(299)).status).toBe(state === 'booted' ? 'success' : state);
  });
});

/** Reports of a device about one attempt, with their times: statuses at any time, other reports at most once each. */
const histories = fc.record({
  accepted: fc.option(fc.integer({ min: 0, max: 30 })),
  progress: fc.array(
    fc.record({ second: fc.integer({ min: 5, max: 200 }), state: fc.constantFrom(...REPORTED_STATES) }),
  ),
  result: fc.option(
    fc.record({
      second: fc.integer({ min: 10, max: 250 }),
      success: fc.boolean(),
      code: fc.constantFrom(0, 2, 3, 4),
    }),
  ),
  boots: fc.array(
    fc.record({
      second: fc.integer({ min: 0, max: 900 }),
      version: fc.constantFrom('1.0.0', '2.0.0', '1.9.9'),
      uptime: fc.option(fc.integer({ min: 0, max: 1_000 })),
    }),
    { maxLength: 8 },
  ),
});

test('repeated evaluations give the same verdict, and an outcome stays once its time has come', () => {
  fc.assert(
    fc.property(histories, fc.integer({ min: 0, max: 3_000 }), fc.integer({ min: 0, max: 3_000 }), (said, a, b) => {
      const heardAt = [
        ...(said.accepted === null ? [] : [said.accepted]),
        ...said.progress.map(({ second }) => second),
        ...(said.result === null ? [] : [said.result.second]),
      ].sort((x, y) => x - y);
      const facts: AttemptFacts = {
        ...silent,
        acknowledgedAt: heardAt[0] === undefined ? null : at(heardAt[0]),
        lastReportAt: heardAt.length === 0 ? null : at(heardAt.at(-1) as number),
        furthestState: REPORTED_STATES.findLast((state) => said.progress.some((each) => each.state === state)) ?? null,
        result: said.result === null ? null : { ...said.result, receivedAt: at(said.result.second), message: null },
        boots: said.boots
          .map(({ second, version, uptime }) => boot(second, version, uptime))
          .sort((x, y) => x.receivedAt.getTime() - y.receivedAt.getTime()),
      };
      const [early, late] = [Math.min(a, b), Math.max(a, b)].map((second) => evaluateAttempt(facts, times, at(second)));
      expect(evaluateAttempt(structuredClone(facts), times, at(Math.min(a, b)))).toEqual(early);
      if (early?.completedAt) expect(late).toEqual(early);
      else expect(early?.deadlineAt).not.toBeNull();
    }),
    { numRuns: 500 },
  );
});

test('a device that is slow to reboot never counts as rolled back', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ after: fc.integer({ min: 0, max: 800 }), uptime: fc.integer({ min: 0, max: 10_000 }) })),
      (heartbeats) => {
        // The uptime spans the wait: the device has not rebooted, so it had been up before the result.
        const boots = heartbeats
          .map(({ after, uptime }) => boot(60 + after, '1.0.0', after + uptime))
          .sort((a, b) => a.receivedAt.getTime() - b.receivedAt.getTime());
        expect(evaluateAttempt({ ...written, boots }, times, at(870)).status).not.toBe('rolled_back');
      },
    ),
  );
});
