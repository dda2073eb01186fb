import { describe, expect, test } from 'vitest';
import { NO_EVIDENCE, type ReleaseEvidence } from '../../../core/policy/release-evidence.ts';
import { parsePlan, type Stage } from '../../../core/policy/rollout-plan.ts';
import {
  decideRollout,
  describeDecision,
  type Gates,
  isGateMet,
  type RolloutNumbers,
} from '../../../core/policy/rollout-policy.ts';

const now = new Date('2026-03-01T12:00:00Z');
const minutes = (n: number) => new Date(now.getTime() + n * 60_000);
const gates: Gates = { failureThreshold: 0.1, failureCount: null, minReports: 5 };
const evidence = (given: Partial<ReleaseEvidence> = {}): ReleaseEvidence => ({ ...NO_EVIDENCE, ...given });

function numbers(given: Partial<ReleaseEvidence>, more: Partial<RolloutNumbers> = {}): RolloutNumbers {
  return {
    stage: 0,
    stageBeganAt: now,
    reachesAll: false,
    size: 10,
    sample: 10,
    isEmpty: false,
    gateHeldSince: null,
    ofStage: evidence(given),
    total: evidence(given),
    steppingStones: [],
    control: { devices: 0, silent: 0 },
    isUnderWay: false,
    startedCount: 10,
    startLimit: 10,
    unexpected: null,
    ...more,
  };
}

describe('a rollout is halted by', () => {
  const halts: [string, RolloutNumbers, Partial<Gates>, string, string][] = [
    [
      'a share of failures above the threshold with confidence',
      numbers({ failed: 4, proven: 2, underWay: 4 }),
      {},
      'failure share',
      '4 of 10 devices failed; the rollout allows 10%',
    ],
    [
      'two of two failures: a small first wave is enough',
      numbers({ failed: 2 }),
      {},
      'failure share',
      '2 of 2 devices failed; the rollout allows 10%',
    ],
    [
      'a number of failures, however small their share',
      numbers({ proven: 900, failed: 3 }),
      { failureCount: 3 },
      'failure count',
      '3 of 903 devices failed; the rollout allows fewer than 3',
    ],
    [
      'devices that went silent',
      numbers({ silent: 4, proven: 6 }),
      {},
      'failure share',
      '4 of 10 devices went silent; the rollout allows 10%',
    ],
    [
      'failures of a stepping stone',
      numbers({ proven: 5 }, { steppingStones: [{ version: '1.5.0', evidence: evidence({ failed: 2 }) }] }),
      {},
      'failure share',
      'stepping stone 1.5.0: 2 of 2 devices failed; the rollout allows 10%',
    ],
    [
      'devices that agree on another version',
      numbers({ failed: 2, underWay: 8 }, { unexpected: { version: '1.9.9', devices: 2 } }),
      {},
      'embedded version',
      'the image embeds version 1.9.9: 2 devices installed it and report that version',
    ],
    [
      'a network that lets hardly any device fetch the image',
      numbers({ undelivered: 20, proven: 2 }),
      {},
      'delivery',
      '20 of 22 devices could not fetch the image. This is a matter of the network, not of the build',
    ],
  ];
  test.each(halts)('%s', (_, given, gate, code, reason) => {
    expect(decideRollout(given, { ...gates, ...gate }, null, now)).toEqual({
      kind: 'halt',
      code,
      reason,
      ...(reason.startsWith('stepping stone') ? { steppingStone: '1.5.0' } : {}),
    });
  });
});

describe('a rollout is not halted by', () => {
  const goesOn: [string, RolloutNumbers][] = [
    ['one device', numbers({ failed: 1 })],
    ['a share of failures at the threshold', numbers({ proven: 9, failed: 1 })],
    [
      'silence that the control group shares',
      numbers({ silent: 4, proven: 36 }, { control: { devices: 100, silent: 10 } }),
    ],
    ['one device with another version', numbers({ failed: 1 }, { unexpected: { version: '1.9.9', devices: 1 } })],
    [
      'two devices with another version, once a device has proven the target',
      numbers({ failed: 2, proven: 600_000 }, { unexpected: { version: '1.9.9', devices: 2 } }),
    ],
    ['a few devices that could not fetch the image', numbers({ undelivered: 4, proven: 10 })],
  ];
  test.each(goesOn)('%s', (_, given) => {
    expect(decideRollout(given, gates, null, now).kind).not.toBe('halt');
  });
});

describe('a slow start', () => {
  const decide = (given: RolloutNumbers) => decideRollout(given, gates, null, now);

  test('sends to the devices that may start', () => {
    expect(decide(numbers({}, { startedCount: 3, reachesAll: true }))).toEqual({ kind: 'finish' });
  });
  test('begins another wave when more devices take part', () => {
    expect(decide(numbers({}, { startedCount: 3 }))).toEqual({ kind: 'advance', stage: 1, size: 10 });
  });
  test('waits for devices that are under way', () => {
    expect(decide(numbers({ proven: 9, underWay: 1 }))).toEqual({
      kind: 'hold',
      waitingFor: '1 device of this wave to end',
    });
  });
  test('doubles its wave once it has proven as many', () => {
    expect(decide(numbers({ proven: 10 }))).toEqual({ kind: 'advance', stage: 1, size: 20 });
  });
  test('does not wait for the slowest device', () => {
    expect(decide(numbers({ proven: 10, underWay: 3 }))).toEqual({ kind: 'advance', stage: 1, size: 20 });
  });
  test('does not grow before enough devices are proven', () => {
    expect(decide(numbers({ proven: 4 }, { size: 1 })).kind).toBe('hold');
    expect(decide(numbers({ proven: 5 }, { size: 1 }))).toEqual({ kind: 'advance', stage: 1, size: 2 });
  });
  test('does not grow while outcomes decide nothing', () => {
    expect(decide(numbers({ proven: 5, failed: 1 }, { size: 1 }))).toEqual({
      kind: 'hold',
      waitingFor: 'more outcomes: 1 of 6 devices failed, so the wave does not grow',
    });
    expect(decide(numbers({ proven: 5, silent: 1 }, { size: 1 })).kind).toBe('hold');
  });
  test('does not grow on what a stepping stone has proven', () => {
    const stone = { version: '1.5.0', evidence: evidence({ proven: 100 }) };
    expect(decide(numbers({ underWay: 4 }, { steppingStones: [stone] })).kind).toBe('hold');
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
  const stages = plan.value.stages as readonly Stage[];
  const decide = (given: RolloutNumbers) =>
    decideRollout({ ...given, startLimit: null }, { ...gates, failureThreshold: 0.5 }, stages, now);

  const cases: [string, RolloutNumbers, object][] = [
    [
      'wait for the sample',
      numbers({ proven: 4 }, { isUnderWay: true }),
      { kind: 'hold', waitingFor: '1 more outcome' },
    ],
    [
      'wait for devices within reach',
      numbers({ proven: 9 }, { isUnderWay: true }),
      { kind: 'hold', waitingFor: 'devices within reach to end' },
    ],
    ['soak', numbers({ proven: 10 }), { kind: 'soak', until: minutes(60) }],
    [
      'go on after the soak',
      numbers({ proven: 10 }, { gateHeldSince: minutes(-60) }),
      { kind: 'advance', stage: 1, size: null },
    ],
    [
      'halt once the success rate is missed with confidence',
      numbers({ proven: 5, failed: 5 }),
      { kind: 'halt', reason: 'stage 1: 5 of 10 devices failed; the stage allows 10%' },
    ],
    [
      'halt at the end of the stage by a share above the limit',
      numbers({ proven: 8, failed: 2 }),
      { kind: 'halt', reason: 'stage 1 ended with 2 of 10 devices failed; the stage allows 10%' },
    ],
    [
      'take more devices where one failure decides nothing',
      numbers({ proven: 5, failed: 1 }),
      { kind: 'extend', devices: 5 },
    ],
    [
      'finish after one failure where no device is left to take',
      numbers({ failed: 1 }, { sample: 1, reachesAll: true }),
      { kind: 'finish' },
    ],
    [
      'do not pass without an outcome: a busy canary is waited for',
      numbers({}, { sample: 1 }),
      { kind: 'hold', waitingFor: '1 more outcome' },
    ],
    [
      'replace members that give no outcome for a day by the next in order',
      numbers({}, { sample: 1, stageBeganAt: minutes(-24 * 60) }),
      { kind: 'extend', devices: 1 },
    ],
    [
      'finish after the last one',
      numbers({ proven: 10 }, { stage: 5, reachesAll: true, gateHeldSince: minutes(-60) }),
      { kind: 'finish' },
    ],
  ];
  test.each(cases)('%s', (_, given, expected) => {
    expect(decide(given)).toMatchObject(expected);
  });

  describe('of a group', () => {
    const lab = stages.map((stage, index) => (index === 0 ? { ...stage, reach: { group: 'lab' } } : stage));
    const next = (given: RolloutNumbers) => decideRollout({ ...given, startLimit: null }, gates, lab, now);

    test.each<[string, RolloutNumbers, object]>([
      [
        'wait for a person where no member could be updated',
        numbers({}, { isEmpty: true }),
        { kind: 'person', because: 'no device of group lab could be updated, so nothing is known of the build' },
      ],
      [
        'are not filled up with other devices',
        numbers({ proven: 1 }, { sample: 2, stageBeganAt: minutes(-48 * 60) }),
        { kind: 'hold', waitingFor: '1 more outcome of group lab' },
      ],
      [
        'wait for a person where one failure decides nothing',
        numbers({ failed: 1 }, { sample: 1 }),
        { kind: 'person', because: 'one device failed, which decides nothing' },
      ],
      ['soak as others do', numbers({ proven: 2 }, { sample: 2 }), { kind: 'soak' }],
    ])('%s', (_, given, expected) => {
      expect(next(given)).toMatchObject(expected);
    });

    test('come first, and have neither a count nor a percentage', () => {
      const plan = { send_window: null, failure_threshold: 0.1, min_reports: 5 };
      const reasonOf = (given: object[]) => parsePlan({ ...plan, stages: given });
      expect(reasonOf([{ count: 1 }, { group: 'lab' }])).toEqual({
        ok: false,
        reason: expect.stringContaining('come first'),
      });
      expect(reasonOf([{ count: 1, group: 'lab' }])).toMatchObject({ ok: false });
      expect(reasonOf([{ group: 'lab' }, { group: 'staff' }, { percentage: 5 }])).toMatchObject({ ok: true });
    });
  });

  describe('until a person advances', () => {
    const careful = stages.map((stage) => ({ ...stage, waitsForPerson: true }));
    const next = (given: RolloutNumbers) => decideRollout({ ...given, startLimit: null }, gates, careful, now);

    test('soak first, then wait, however good the outcomes are', () => {
      expect(next(numbers({ proven: 10 }))).toMatchObject({ kind: 'soak' });
      const waits = next(numbers({ proven: 10 }, { gateHeldSince: minutes(-60) }));
      expect(waits).toEqual({ kind: 'person', because: 'its stage has met its gate' });
      expect(isGateMet(waits)).toBe(true);
      expect(describeDecision(waits)).toBe('waiting for a person to advance it: its stage has met its gate');
    });

    test('halt as other stages do', () => {
      expect(next(numbers({ proven: 2, failed: 8 }, { gateHeldSince: minutes(-60) }))).toMatchObject({ kind: 'halt' });
    });

    test('is refused for a stage that reaches every device', () => {
      const plan = { send_window: null, failure_threshold: 0.1, min_reports: 5 };
      expect(parsePlan({ ...plan, stages: [{ percentage: 100, until: 'a person advances' }] })).toEqual({
        ok: false,
        reason: expect.stringContaining('there is nothing to advance to'),
      });
      expect(parsePlan({ ...plan, stages: [{ percentage: 10, until: 'tomorrow' }] })).toMatchObject({ ok: false });
    });
  });

  test('that are given to a slow start while it runs halt it', () => {
    expect(decideRollout(numbers({ proven: 5 }), gates, stages, now)).toMatchObject({ kind: 'halt', code: 'plan' });
  });
});

describe('an outage is suspected if devices outside the rollout fall silent, too:', () => {
  const OUTAGE = { control: { devices: 20, silent: 15 } };

  test('the rollout holds and says so', () => {
    expect(decideRollout(numbers({ silent: 10 }, OUTAGE), gates, null, now)).toEqual({
      kind: 'hold',
      waitingFor:
        'silent devices to return: site or cloud outage suspected, because 15 of 20 devices outside the rollout fell silent, too',
    });
  });

  test('devices that failed otherwise still halt it', () => {
    expect(decideRollout(numbers({ silent: 5, failed: 5 }, OUTAGE), gates, null, now)).toMatchObject({
      kind: 'halt',
      reason: '5 of 5 devices failed; the rollout allows 10%',
    });
  });

  test.each([
    ['no device of the rollout is silent', numbers({ proven: 10 }, OUTAGE)],
    ['two others are silent', numbers({ silent: 1, proven: 9 }, { control: { devices: 2, silent: 2 } })],
    ['a tenth of the others is silent', numbers({ silent: 1, proven: 9 }, { control: { devices: 200, silent: 20 } })],
  ])('not if %s', (_, given) => {
    const decision = decideRollout(given, gates, null, now);
    expect(JSON.stringify(decision)).not.toContain('outage');
  });
});
