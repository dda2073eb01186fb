import { describe, expect, test } from 'vitest';
import { coveredNames, coveringStage, describeUncovered, parsePlan } from '../../../core/policy/index.ts';

describe('the names that a first stage covers', () => {
  test.each([
    ['version'],
    ['attributes.site'],
    ['attributes.sales region'],
    ['facts.board_revision'],
    ['facts.my.fact-1'],
  ])('may be %s', (name) => {
    expect(coveredNames.safeParse([name]).success).toBe(true);
  });

  test.each([
    ['site', 'is not version, attributes.<name> or facts.<name>'],
    ['attributes.', 'is not version'],
    ['facts.1st', 'is not version'],
    ['facts.hw_revision', 'is stored as board_revision; use facts.board_revision'],
    ['facts.battery_percent', 'changes while a device runs'],
  ])('may not be %s', (name, why) => {
    expect(coveredNames.safeParse([name]).error?.issues[0]?.message).toContain(why);
  });

  test('are one to three, each named once', () => {
    expect(coveredNames.safeParse([]).success).toBe(false);
    expect(coveredNames.safeParse(['version', 'version']).success).toBe(false);
    expect(coveredNames.safeParse(['version', 'attributes.a', 'attributes.b', 'attributes.c']).success).toBe(false);
  });
});

test('the covering stage is the first that is not of a group; a slow start has none', () => {
  const stagesOf = (stages: unknown) => {
    const plan = parsePlan({ stages, send_window: null, failure_threshold: 0.1, min_reports: 5 });
    return plan.ok ? plan.value.stages : null;
  };
  expect(coveringStage(stagesOf([{ group: 'lab' }, { count: 5 }, { percentage: 50 }]))).toMatchObject({
    index: 1,
    reach: { count: 5 },
  });
  expect(coveringStage(stagesOf(null))).toBeUndefined();
});

test('values that the first stage leaves out are named with their devices, and those that nothing can cover', () => {
  const leftOut = [
    { value: 'rome', devices: 40, isReachable: true },
    { value: null, devices: 1, isReachable: false },
  ];
  expect(describeUncovered({ name: 'attributes.site', values: 9, covered: 5, isUnknown: false, leftOut }, 5)).toBe(
    'the first stage has 5 devices; the targeted devices have 9 values of attributes.site, and 4 of them meet the build in a later stage: rome (40 devices), not reported (1 device, none of which can be updated now and was heard of in the last 24 h) and 2 more',
  );
  const all = { name: 'version', values: 2, covered: 2, isUnknown: false, leftOut: [] };
  expect(describeUncovered(all, 5)).toBeUndefined();
  expect(describeUncovered({ ...all, name: 'attributes.sites', isUnknown: true }, 5)).toBe(
    'no device that the rollout would update has attributes.sites: is that its name?',
  );
});
