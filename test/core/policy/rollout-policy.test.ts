import { describe, expect, test } from 'vitest';
import { parsePlan, type Stage } from '../../../core/policy/rollout-plan.ts';
import {
  decideRollout,
  type Gates,
  type RolloutNumbers,
  type StageCounts,
} from '../../../core/policy/rollout-policy.ts';

const now = new Date('2026-03-01T12:00:00Z');
const minutes = (n: number) => new Date(now.getTime() + n * 60_000);
const gates: Gates = { failureThreshold: 0.1, failureCount: null, minReports: 5 };
const tally = (given: Partial<StageCounts> = {}): StageCounts => ({
  assigned: 100,
  succeeded: 0,
  failed: 0,
  failurePoints: given.failed ?? 0,
  canceled: 0,
  ...given,
});

function numbers(ofStage: Partial<StageCounts>, given: Partial<RolloutNumbers> = {}): RolloutNumbers {
  return {
    stage: 0,
    reachesAll: false,
    size: 10,
    gateHeldSince: null,
    ofStage: tally(ofStage),
    total: tally(ofStage),
    isUnderWay: false,
    startedCount: 10,
    finishedCount: 10,
    startLimit: 10,
    unexpected: null,
    ...given,
  };
}

describe('what halts a rollout', () => {
  const halts: [string, RolloutNumbers, Partial<Gates>, string][] = [
    [
      'a share of failures above the threshold',
      numbers({ succeeded: 4, failed: 1 }),
      {},
      '1 of 5 devices failed, which is 20 %; the rollout allows 10 %',
    ],
    [
      'a number of failures, however small their share',
      numbers({ succeeded: 900, failed: 3, assigned: 1000 }),
      { failureCount: 3 },
      '3 of 903 devices failed; the rollout allows fewer than 3',
    ],
    [
      'failed verifications, each counted twice',
      numbers({ succeeded: 9, failed: 1, failurePoints: 2 }),
      {},
      '1 of 10 devices failed (1 failed verification and count twice), which is 18.2 %; the rollout allows 10 %',
    ],
    [
      'fewer outcomes than asked for, where there are no more devices',
      numbers({ assigned: 2, failed: 2 }),
      {},
      '2 of 2 devices failed, which is 100 %; the rollout allows 10 %',
    ],
    [
      'devices that agree on another version',
      numbers({ failed: 2 }, { unexpected: { version: '1.9.9', devices: 2 } }),
      {},
      'the image calls itself 1.9.9: 2 devices wrote it and report that version',
    ],
  ];
  test.each(halts)('%s', (_, given, gate, reason) => {
    expect(decideRollout(given, { ...gates, ...gate }, null, now)).toEqual({ kind: 'halt', reason });
  });

  const goesOn: [string, RolloutNumbers][] = [
    ['too few outcomes to judge by', numbers({ failed: 4 })],
    ['a share of failures at the threshold', numbers({ succeeded: 9, failed: 1 })],
    ['canceled updates', numbers({ succeeded: 5, canceled: 50 })],
    [
      'one device of many with another version',
      numbers({ succeeded: 20, failed: 1 }, { unexpected: { version: '1.9.9', devices: 1 } }),
    ],
  ];
  test.each(goesOn)('not %s', (_, given) => {
    expect(decideRollout(given, gates, null, now).kind).not.toBe('halt');
  });
});

describe('a slow start', () => {
  const decide = (given: RolloutNumbers) => decideRollout(given, gates, null, now);

  test('lets those begin that may', () => {
    expect(decide(numbers({}, { startedCount: 3, finishedCount: 0, reachesAll: true }))).toEqual({ kind: 'finish' });
  });
  test('goes on with the rest of its window when more members take part', () => {
    expect(decide(numbers({}, { startedCount: 3, finishedCount: 0 }))).toEqual({ kind: 'advance', stage: 1, size: 7 });
  });
  test('waits for the window to end', () => {
    expect(decide(numbers({ succeeded: 9 }, { finishedCount: 9 }))).toMatchObject({ kind: 'hold' });
  });
  test('doubles its window on evidence', () => {
    expect(decide(numbers({ succeeded: 10 }))).toEqual({ kind: 'advance', stage: 1, size: 20 });
  });
  test('does not grow before there is enough evidence', () => {
    expect(decide(numbers({ succeeded: 1 }, { size: 1 }))).toEqual({ kind: 'advance', stage: 1, size: 1 });
  });
});

describe('stages', () => {
  const plan = parsePlan({
    stages: [{ percentage: 10, soak_minutes: 60, min_success_rate: 0.9 }, { percentage: 50 }],
    send_window: null,
    failure_threshold: 0.5,
    min_reports: 5,
  });
  if (!plan.ok) throw new Error(plan.reason);
  const stages = plan.plan.stages as readonly Stage[];
  const staged = (given: RolloutNumbers) => ({ ...given, startLimit: null });
  const decide = (given: RolloutNumbers) =>
    decideRollout(staged(given), { ...gates, failureThreshold: 0.5 }, stages, now);
  const stage = { assigned: 10 };

  const cases: [string, RolloutNumbers, object][] = [
    ['holds for outcomes', numbers({ ...stage, succeeded: 4 }), { kind: 'hold', waitingFor: '1 more outcome' }],
    [
      'holds while devices within reach are under way',
      numbers({ ...stage, succeeded: 9 }, { isUnderWay: true }),
      { kind: 'hold' },
    ],
    [
      'does not wait for devices out of reach',
      numbers({ ...stage, succeeded: 9 }),
      { kind: 'soak', until: minutes(60) },
    ],
    [
      'soaks from the moment its gate held',
      numbers({ ...stage, succeeded: 9 }, { gateHeldSince: minutes(-59) }),
      { kind: 'soak', until: minutes(1) },
    ],
    [
      'advances after its soak',
      numbers({ ...stage, succeeded: 9 }, { gateHeldSince: minutes(-60) }),
      { kind: 'advance', stage: 1, size: null },
    ],
    [
      'halts when its rate is out of reach',
      numbers({ ...stage, succeeded: 8, failed: 2 }),
      { kind: 'halt', reason: '2 of 10 devices failed: stage 1 cannot reach 90 % success' },
    ],
    [
      'holds while its rate may yet be reached',
      numbers({ assigned: 20, succeeded: 8, failed: 2 }),
      { kind: 'hold', waitingFor: '90 % success; it is 80 %' },
    ],
    [
      'is judged by the devices that it has',
      numbers({ assigned: 2, succeeded: 2 }, { gateHeldSince: minutes(-60) }),
      { kind: 'advance' },
    ],
    [
      'without a device to update is passed',
      numbers({ assigned: 0 }, { gateHeldSince: minutes(-60) }),
      { kind: 'advance' },
    ],
    [
      'of the rest of the members is the last',
      numbers({ assigned: 50, succeeded: 50 }, { stage: 2, reachesAll: true }),
      { kind: 'finish' },
    ],
  ];
  test.each(cases)('a stage %s', (_, given, expected) => {
    expect(decide(given)).toMatchObject(expected);
  });

  test('that were taken away while it ran leave the rest of the members', () => {
    const decision = decide(numbers({ assigned: 50, succeeded: 50 }, { stage: 5 }));
    expect(decision).toEqual({ kind: 'advance', stage: 6, size: null });
    expect(decideRollout(staged(numbers({})), gates, null, now)).toEqual({ kind: 'advance', stage: 1, size: null });
  });

  test('given to a slow start let everyone begin, or cannot be given', () => {
    const slow = numbers({ assigned: 50 }, { startLimit: 10, startedCount: 3 });
    expect(decideRollout(slow, gates, stages.slice(-1), now)).toEqual({ kind: 'advance', stage: 1, size: null });
    expect(decideRollout(slow, gates, stages, now)).toMatchObject({ kind: 'halt' });
  });
});

describe('the plan of a rollout', () => {
  const read = (stages: unknown, send_window: unknown = null) =>
    parsePlan({ stages, send_window, failure_threshold: 0.1, min_reports: 5 });

  test('no stages start slowly', () => {
    expect(read(null)).toMatchObject({ ok: true, plan: { stages: null } });
  });
  test('an empty list is everyone at once', () => {
    expect(read([])).toMatchObject({ ok: true, plan: { stages: [{ reach: { share: 1 } }] } });
  });
  test('the rest of the members follows after the last stage', () => {
    expect(read([{ count: 3 }, { percentage: 100 }])).toMatchObject({
      plan: { stages: [{ reach: { count: 3 } }, { reach: { share: 1 } }] },
    });
    expect(read([{ count: 3 }])).toMatchObject({
      plan: { stages: [{ reach: { count: 3 } }, { reach: { share: 1 } }] },
    });
  });
  test.each([
    [[{ percentage: 5, count: 3 }], 'stages: 0: a stage has either a percentage or a count'],
    [[{ soak_minutes: 5 }], 'stages: 0: a stage has either a percentage or a count'],
    [[{ percentage: 50 }, { percentage: 10 }], 'stages: each stage must be larger than the one before'],
    [[{ percent: 5 }], 'stages: 0.percent: there is no such field'],
    ['5', 'stages: expected array, received string'],
  ])('%j is refused', (stages, reason) => {
    expect(read(stages)).toEqual({ ok: false, reason: expect.stringContaining(reason) });
  });
  test('a wrong send window is refused', () => {
    expect(read(null, { from: '25:00', to: '05:00' })).toEqual({
      ok: false,
      reason: expect.stringContaining('send_window: from: expected a time of day'),
    });
  });
});
