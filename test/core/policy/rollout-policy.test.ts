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
const counts = (given: Partial<StageCounts> = {}): StageCounts => ({
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
    ofStage: counts(ofStage),
    total: counts(ofStage),
    isUnderWay: false,
    startedCount: 10,
    finishedCount: 10,
    startLimit: 10,
    unexpected: null,
    ...given,
  };
}

describe('halts a rollout because of', () => {
  const halts: [string, RolloutNumbers, Partial<Gates>, string][] = [
    [
      'a share of failures above the threshold',
      numbers({ succeeded: 4, failed: 1 }),
      {},
      '1 of 5 devices failed, which is 20%; the rollout allows 10%',
    ],
    [
      'a number of failures, whatever their share',
      numbers({ succeeded: 900, failed: 3, assigned: 1000 }),
      { failureCount: 3 },
      '3 of 903 devices failed; the rollout allows fewer than 3',
    ],
    [
      'failed verifications, each counted twice',
      numbers({ succeeded: 9, failed: 1, failurePoints: 2 }),
      {},
      '1 of 10 devices failed (1 failed verification and count twice), which is 18.2%; the rollout allows 10%',
    ],
    [
      'failures of all devices, fewer than the minimum results',
      numbers({ assigned: 2, failed: 2 }),
      {},
      '2 of 2 devices failed, which is 100%; the rollout allows 10%',
    ],
    [
      'two devices that report the same unexpected version',
      numbers({ failed: 2 }, { unexpected: { version: '1.9.9', devices: 2 } }),
      {},
      'the image embeds the version 1.9.9: 2 devices installed it and report that version',
    ],
  ];
  test.each(halts)('%s', (_, given, gate, reason) => {
    expect(decideRollout(given, { ...gates, ...gate }, null, now)).toEqual({ kind: 'halt', reason });
  });

  const continues: [string, RolloutNumbers][] = [
    ['too few results', numbers({ failed: 4 })],
    ['a share of failures at the threshold', numbers({ succeeded: 9, failed: 1 })],
    ['canceled updates', numbers({ succeeded: 5, canceled: 50 })],
    [
      'one device of many with an unexpected version',
      numbers({ succeeded: 20, failed: 1 }, { unexpected: { version: '1.9.9', devices: 1 } }),
    ],
  ];
  test.each(continues)('but not because of %s', (_, given) => {
    expect(decideRollout(given, gates, null, now).kind).not.toBe('halt');
  });
});

describe('a slow start', () => {
  const decide = (given: RolloutNumbers) => decideRollout(given, gates, null, now);

  test('lets the allowed number of devices start', () => {
    expect(decide(numbers({}, { startedCount: 3, finishedCount: 0, reachesAll: true }))).toEqual({ kind: 'finish' });
  });
  test('continues with the rest of its wave if more devices are targeted', () => {
    expect(decide(numbers({}, { startedCount: 3, finishedCount: 0 }))).toEqual({ kind: 'advance', stage: 1, size: 7 });
  });
  test('waits for the wave to finish', () => {
    expect(decide(numbers({ succeeded: 9 }, { finishedCount: 9 }))).toMatchObject({ kind: 'hold' });
  });
  test('doubles its wave after enough results', () => {
    expect(decide(numbers({ succeeded: 10 }))).toEqual({ kind: 'advance', stage: 1, size: 20 });
  });
  test('does not grow before there are enough results', () => {
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
    ['waits for results', numbers({ ...stage, succeeded: 4 }), { kind: 'hold', waitingFor: '1 more outcome' }],
    [
      'waits while devices of the stage are in progress',
      numbers({ ...stage, succeeded: 9 }, { isUnderWay: true }),
      { kind: 'hold' },
    ],
    [
      'does not wait for devices out of reach',
      numbers({ ...stage, succeeded: 9 }),
      { kind: 'soak', until: minutes(60) },
    ],
    [
      'soaks from the time at which its gate was met',
      numbers({ ...stage, succeeded: 9 }, { gateHeldSince: minutes(-59) }),
      { kind: 'soak', until: minutes(1) },
    ],
    [
      'advances after its soak',
      numbers({ ...stage, succeeded: 9 }, { gateHeldSince: minutes(-60) }),
      { kind: 'advance', stage: 1, size: null },
    ],
    [
      'halts if its success rate can no longer be reached',
      numbers({ ...stage, succeeded: 8, failed: 2 }),
      { kind: 'halt', reason: '2 of 10 devices failed: stage 1 cannot reach 90% success' },
    ],
    [
      'waits while its success rate can still be reached',
      numbers({ assigned: 20, succeeded: 8, failed: 2 }),
      { kind: 'hold', waitingFor: '90% success; it is 80%' },
    ],
    [
      'is evaluated by the devices that it has',
      numbers({ assigned: 2, succeeded: 2 }, { gateHeldSince: minutes(-60) }),
      { kind: 'advance' },
    ],
    [
      'without a device to update is skipped',
      numbers({ assigned: 0 }, { gateHeldSince: minutes(-60) }),
      { kind: 'advance' },
    ],
    [
      'for the remaining devices is the last',
      numbers({ assigned: 50, succeeded: 50 }, { stage: 2, reachesAll: true }),
      { kind: 'finish' },
    ],
  ];
  test.each(cases)('a stage %s', (_, given, expected) => {
    expect(decide(given)).toMatchObject(expected);
  });

  test('that were removed while the rollout ran are followed by one for the remaining devices', () => {
    const decision = decide(numbers({ assigned: 50, succeeded: 50 }, { stage: 5 }));
    expect(decision).toEqual({ kind: 'advance', stage: 6, size: null });
    expect(decideRollout(staged(numbers({})), gates, null, now)).toEqual({ kind: 'advance', stage: 1, size: null });
  });

  test('given to a slow start either reach all devices or are refused', () => {
    const slow = numbers({ assigned: 50 }, { startLimit: 10, startedCount: 3 });
    expect(decideRollout(slow, gates, stages.slice(-1), now)).toEqual({ kind: 'advance', stage: 1, size: null });
    expect(decideRollout(slow, gates, stages, now)).toMatchObject({ kind: 'halt' });
  });
});

describe('the plan of a rollout', () => {
  const read = (stages: unknown, send_window: unknown = null) =>
    parsePlan({ stages, send_window, failure_threshold: 0.1, min_reports: 5 });

  test('without stages is a slow start', () => {
    expect(read(null)).toMatchObject({ ok: true, plan: { stages: null } });
  });
  test('with an empty list updates all devices at once', () => {
    expect(read([])).toMatchObject({ ok: true, plan: { stages: [{ reach: { share: 1 } }] } });
  });
  test('appends a stage for the remaining devices', () => {
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
  ])('rejects %j', (stages, reason) => {
    expect(read(stages)).toEqual({ ok: false, reason: expect.stringContaining(reason) });
  });
  test('rejects an invalid send window', () => {
    expect(read(null, { from: '25:00', to: '05:00' })).toEqual({
      ok: false,
      reason: expect.stringContaining('send_window: from: expected a time of day'),
    });
  });
});
