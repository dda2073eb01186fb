import { describe, expect, test } from 'vitest';
import {
  checkHealth,
  compareRestarts,
  type HealthEvidence,
  isEnoughExposure,
  type ObservedDevice,
} from '../../../core/policy/release-health.ts';
import { seededRandom } from '../../../fleet/random.ts';

const LIMITS = { maxRestartRatio: 2, failureThreshold: 0.1 };
const NO_CONTROL = { devices: 0, silent: 0 };
const NO_SILENCE = { devices: 0, silent: 0 };
const evidence = (observed: readonly ObservedDevice[]): HealthEvidence => ({
  version: '1.1.0',
  observed,
  later: NO_SILENCE,
});
const halts = (observed: readonly ObservedDevice[]) => checkHealth(evidence(observed), LIMITS, NO_CONTROL);
const devices = (count: number, given: Partial<ObservedDevice>): ObservedDevice[] =>
  Array.from({ length: count }, () => ({ restarts: 0, hours: 1, restartsBefore: 0, hoursBefore: 100, ...given }));

describe('restarts halt a rollout', () => {
  test('of four devices that restart every four minutes and did not before', () => {
    const loop = [0.5, 0.4, 0.3, 0.2].flatMap((hours) => devices(1, { hours, restarts: Math.round(hours * 15) }));
    expect(halts(loop)).toEqual({
      code: 'restarts',
      reason:
        'devices on 1.1.0 restart 16 times per hour (1.4 device-hours of 4 devices), and 0 times before (400 device-hours); the rollout allows 2 times as often and one restart a day',
    });
  });

  test('of a thousand devices that restart three times a day', () => {
    const some = Array.from({ length: 1_000 }, (_, n) =>
      devices(1, { hours: 2, restarts: n % 4 === 0 ? 1 : 0 }),
    ).flat();
    expect(halts(some)?.code).toBe('restarts');
  });

  test('of deep sleepers that restart more often than they wake', () => {
    const asleep = { hours: 4, hoursBefore: 50, restartsBefore: 300 };
    expect(halts(devices(10, { ...asleep, restarts: 24 }))).toBeUndefined();
    expect(halts(devices(10, { ...asleep, restarts: 80 }))?.code).toBe('restarts');
  });
});

describe('restarts halt nothing', () => {
  test.each([
    ['of one board, however many', [...devices(20, {}), ...devices(1, { restarts: 500 })]],
    ['of two boards of fifty', [...devices(48, {}), ...devices(2, { restarts: 60 })]],
    ['of two devices alone', devices(2, { hours: 5, restarts: 100 })],
    ['with less than one device-hour', devices(9, { hours: 0.1, restarts: 3 })],
    ['of boards that restarted as often before', devices(20, { restarts: 12, restartsBefore: 1_000 })],
    ['of devices whose habit is known for minutes', devices(20, { restarts: 6, restartsBefore: 2, hoursBefore: 0.3 })],
    ['of one power cut', devices(50, { restarts: 1, hours: 48 })],
    ['without devices', []],
  ])('%s', (_, observed) => {
    expect(halts(observed)).toBeUndefined();
  });

  test('if the rollout has no such limit', () => {
    const loop = evidence(devices(20, { restarts: 20 }));
    expect(checkHealth(loop, { ...LIMITS, maxRestartRatio: null }, NO_CONTROL)).toBeUndefined();
  });
});

test('a device without a habit of its own is expected to restart as the others do', () => {
  const known = devices(9, { restarts: 6, restartsBefore: 600 });
  const compared = compareRestarts([...known, ...devices(1, { restarts: 6, restartsBefore: 0, hoursBefore: 0 })], 2);
  expect(compared.rateBefore).toBeCloseTo(6, 1);
  expect(isEnoughExposure(compared)).toBe(true);
});

describe('silence after the proof halts a rollout', () => {
  const silence = (silent: number, proven: number, control: { devices: number; silent: number }) =>
    checkHealth({ ...evidence([]), later: { devices: proven, silent } }, LIMITS, control);
  test('if far more devices fell silent than comparable ones', () => {
    expect(silence(8, 20, { devices: 200, silent: 4 })).toEqual({
      code: 'later silence',
      reason:
        '8 of 20 devices went silent after they had proven 1.1.0, and 4 of 200 comparable devices in the same time; the rollout allows 10% more',
    });
  });
  test.each([
    ['not if as many of the others did', silence(8, 20, { devices: 200, silent: 80 })],
    ['not by one device', silence(1, 1, { devices: 200, silent: 0 })],
    ['not without comparable devices', silence(8, 20, { devices: 5, silent: 0 })],
  ])('%s', (_, halt) => {
    expect(halt).toBeUndefined();
  });
});

/** A fleet of sleepers, boards that are always on, and boards that were broken before. */
class Fleet {
  readonly #random: () => number;
  readonly #boards: { readonly rate: number; readonly regular: boolean; readonly device: ObservedDevice }[];

  constructor(seed: number, count: number, hoursBefore: () => number) {
    this.#random = seededRandom(seed);
    this.#boards = Array.from({ length: count }, () => {
      const kind = this.#random();
      const regular = kind < 0.5;
      // Wakes every 10 min to 6 h; broken boards restart up to 30 times an hour; others once in ten days.
      const rate = regular ? 1 / (1 / 6 + this.#random() * 6) : kind < 0.55 ? 30 * this.#random() : 1 / 240;
      const before = hoursBefore() * (0.5 + this.#random());
      return {
        rate,
        regular,
        device: { restarts: 0, hours: 0, restartsBefore: this.#count(rate, before, regular), hoursBefore: before },
      };
    });
  }

  /** One more look, `hours` later. @param added restarts per hour that the build adds */
  after(hours: number, added: (n: number) => number): ObservedDevice[] {
    this.#boards.forEach((board, n) => {
      const { device, rate, regular } = board;
      const more = this.#count(rate, hours, regular) + this.#count(added(n), hours, false);
      Object.assign(device, { restarts: device.restarts + more, hours: device.hours + hours });
    });
    return this.#boards.map(({ device }) => device);
  }

  #count(rate: number, hours: number, regular: boolean): number {
    const mean = rate * hours;
    if (regular) return Math.floor(mean + this.#random());
    let count = 0;
    for (let p = Math.exp(-mean), s = p, u = this.#random(); u > s && count < 1_000; s += p) p *= mean / ++count;
    return count;
  }
}

const STEPS = 48;
const firstHalt = (fleet: Fleet, added: (n: number) => number): number | undefined => {
  for (let step = 1; step <= STEPS; step++) if (halts(fleet.after(0.25, added)) !== undefined) return step / 4;
  return undefined;
};

describe('of 200 simulated fleets, read every 15 minutes for 12 hours,', () => {
  test.each([
    ['20 devices known for a week', 20, 168],
    ['200 devices known for a week', 200, 168],
    ['20 devices known for an hour', 20, 1],
    ['200 devices known for an hour', 200, 1],
    ['5 devices known for half an hour', 5, 0.5],
  ])('a good build halts at most two: %s', (_, count, known) => {
    let halted = 0;
    for (let seed = 0; seed < 200; seed++) {
      if (firstHalt(new Fleet(seed * 1_000 + count, count, () => known), () => 0) !== undefined) halted++;
    }
    expect(halted).toBeLessThanOrEqual(2);
  });

  test.each([
    ['that restarts every five minutes within an hour, of 10 devices', 10, () => 12, 1],
    ['that restarts twice an hour within four hours, of 20 devices', 20, () => 2, 4],
    [
      'of which every third device restarts every five minutes within four hours, of 50 devices',
      50,
      (n: number) => (n % 3 === 0 ? 12 : 0),
      4,
    ],
    ['that restarts four times a day within twelve hours, of 400 devices', 400, () => 4 / 24, 12],
  ])('nearly all halt a build %s', (_, count, added, within) => {
    let halted = 0;
    for (let seed = 0; seed < 100; seed++) {
      const at = firstHalt(new Fleet(seed * 1_000 + count, count, () => 168), added);
      if (at !== undefined && at <= within) halted++;
    }
    expect(halted).toBeGreaterThanOrEqual(95);
  });
});
