import { describe, expect, test } from 'vitest';
import {
  type ControlGroup,
  exceedsThreshold,
  excessSilence,
  isUndecided,
  lowerBound,
  NO_EVIDENCE,
  type ReleaseEvidence,
  setApart,
} from '../../../core/policy/release-evidence.ts';
import { seededRandom } from '../../../fleet/random.ts';

const nobody: ControlGroup = { devices: 0, silent: 0 };
const evidence = (given: Partial<ReleaseEvidence>): ReleaseEvidence => ({ ...NO_EVIDENCE, ...given });

describe('the threshold of 10% is exceeded', () => {
  test.each([
    ['not by one device, whatever its share', evidence({ failed: 1 }), false],
    ['by two of two', evidence({ failed: 2 }), true],
    ['not by two of four: three more may succeed', evidence({ failed: 2, proven: 2 }), false],
    ['not by two of ten that are under way', evidence({ failed: 2, underWay: 8 }), false],
    ['by four of ten', evidence({ failed: 4, underWay: 6 }), true],
    ['not by a share just above it', evidence({ failed: 12, proven: 88 }), false],
    ['by a share that is well above it', evidence({ failed: 25, proven: 75 }), true],
    ['by devices that went silent', evidence({ silent: 4, proven: 6 }), true],
    ['not by devices that could not fetch the image', evidence({ undelivered: 50, proven: 2 }), false],
  ])('%s', (_, given, exceeded) => {
    expect(exceedsThreshold(given, nobody, 0.1)).toBe(exceeded);
  });
});

describe('silence counts beyond what comparable devices show', () => {
  const given = evidence({ silent: 10, proven: 90 });
  test('all of it without a control group', () => {
    expect(excessSilence(given, nobody)).toBe(10);
  });
  test('none of it if as many others fell silent', () => {
    expect(excessSilence(given, { devices: 100, silent: 10 })).toBe(0);
  });
  test('the difference if fewer did', () => {
    expect(excessSilence(given, { devices: 999, silent: 19 })).toBe(8);
  });
});

describe('devices that failed before', () => {
  test('are not part of the evidence of the others', () => {
    const all = evidence({ proven: 9, failed: 4, underWay: 5 });
    expect(setApart(all, evidence({ proven: 1, failed: 4 }))).toEqual(evidence({ proven: 8, underWay: 5 }));
  });
  test('decide nothing while they are few and alone', () => {
    const few = evidence({ failed: 4 });
    expect(setApart(few, few)).toEqual(NO_EVIDENCE);
  });
  test('are the evidence if there are no others', () => {
    const all = evidence({ failed: 5, underWay: 2 });
    expect(setApart(all, all)).toEqual(all);
  });
});

test('a wave does not grow while failures and silence are a larger share than the threshold', () => {
  expect(isUndecided(evidence({ proven: 9, failed: 1 }), 0.1)).toBe(false);
  expect(isUndecided(evidence({ proven: 8, failed: 1 }), 0.1)).toBe(true);
  expect(isUndecided(evidence({ proven: 8, silent: 1 }), 0.1)).toBe(true);
  expect(isUndecided(evidence({ underWay: 3 }), 0.1)).toBe(false);
});

test('the bound is below the share, and closer to it the more was observed', () => {
  expect(lowerBound(0, 10)).toBe(0);
  expect(lowerBound(0, 0)).toBe(0);
  expect(lowerBound(5, 10)).toBeLessThan(lowerBound(50, 100));
  expect(lowerBound(50, 100)).toBeLessThan(0.5);
  expect(lowerBound(10, 10)).toBeLessThan(1);
});

describe('a good build among boards that were broken before', () => {
  /** Waves as the slow start makes them: each failure is read as soon as it comes, while the others are under way. */
  function isHalted(random: () => number, devices: number, broken: number): boolean {
    let [proven, failed, wave] = [0, 0, Math.max(1, devices / 100)];
    while (proven + failed < devices) {
      const size = Math.min(wave, devices - proven - failed);
      const bad = Array.from({ length: size }, random).filter((chance) => chance < broken).length;
      for (let seen = 1; seen <= bad; seen++) {
        const now = evidence({ proven, failed: failed + seen, underWay: size - seen });
        if (exceedsThreshold(now, nobody, 0.1)) return true;
      }
      proven += size - bad;
      failed += bad;
      if (!isUndecided(evidence({ proven, failed }), 0.1) && proven >= wave) wave *= 2;
    }
    return false;
  }

  test.each([
    [200, 0.01],
    [200, 0.02],
    [200, 0.05],
    [1_000, 0.05],
  ])('of %i devices, %d of them broken, is halted in less than 2%% of rollouts', (devices, broken) => {
    const random = seededRandom(1);
    const halted = Array.from({ length: 2_000 }, () => isHalted(random, devices, broken)).filter(Boolean).length;
    expect(halted / 2_000).toBeLessThan(0.02);
  });

  test('a build that fails on every second device is halted in all of them', () => {
    const random = seededRandom(1);
    for (let n = 0; n < 200; n++) expect(isHalted(random, 200, 0.5)).toBe(true);
  });
});
