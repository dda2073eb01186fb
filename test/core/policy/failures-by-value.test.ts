import { describe, expect, test } from 'vitest';
import {
  describeConcentration,
  type EvidenceByValue,
  findFailingValue,
  NO_EVIDENCE,
  type ReleaseEvidence,
} from '../../../core/policy/index.ts';

const NO_CONTROL = { devices: 0, silent: 0 };
/** Of 100 devices outside the rollout, 60 fell silent. */
const OUTAGE = { devices: 100, silent: 60 };

type Given = readonly [name: string, value: string | null, evidence: Partial<ReleaseEvidence>];
const byValue = (total: Partial<ReleaseEvidence>, ...values: readonly Given[]): EvidenceByValue => ({
  total: { ...NO_EVIDENCE, ...total },
  values: values.map(([name, value, evidence]) => ({ name, value, evidence: { ...NO_EVIDENCE, ...evidence } })),
});

describe('the value that has the failures', () => {
  const total = { failed: 7, proven: 43 };

  test('is named with how many of the failures and of the devices have it', () => {
    const evidence = byValue(total, ['facts.board_revision', 'A', { failed: 7, proven: 5 }]);
    expect(describeConcentration(evidence, NO_CONTROL)).toBe(
      'All 7 failed devices are among the 12 of 50 devices with facts.board_revision=A',
    );
  });

  test('is named if it has 80% of the failures, and not with less', () => {
    const of = (failed: number) =>
      describeConcentration(
        byValue({ failed: 10, proven: 40 }, ['version', '1.0.0', { failed, proven: 4 }]),
        NO_CONTROL,
      );
    expect(of(8)).toBe('8 of the 10 failed devices are among the 12 of 50 devices updated from 1.0.0');
    expect(of(7)).toBeUndefined();
  });

  test('is not named if half of the devices have it, or it has fewer than three failures', () => {
    const half = byValue(total, ['version', '1.0.0', { failed: 7, proven: 18 }]);
    expect(describeConcentration(half, NO_CONTROL)).toBeUndefined();
    const two = byValue({ failed: 2, proven: 48 }, ['version', '1.0.0', { failed: 2 }]);
    expect(describeConcentration(two, NO_CONTROL)).toBeUndefined();
  });

  test('of several is the one that fewest devices have', () => {
    const evidence = byValue(
      total,
      ['version', '1.0.0', { failed: 7, proven: 12 }],
      ['attributes.site', null, { failed: 7, underWay: 1 }],
    );
    expect(describeConcentration(evidence, NO_CONTROL)).toContain('among the 8 of 50 devices without attributes.site');
  });

  test('counts silent devices, but not those of an outage', () => {
    const evidence = byValue({ failed: 1, silent: 6, proven: 43 }, [
      'attributes.site',
      'rome',
      { failed: 1, silent: 6 },
    ]);
    expect(describeConcentration(evidence, NO_CONTROL)).toContain('All 7 failed or silent devices');
    expect(describeConcentration(evidence, OUTAGE)).toBeUndefined();
  });
});

describe('a covered value', () => {
  const NAMES = ['facts.board_revision'];

  test('halts the rollout if more than half of its devices failed, though all are within the limit', () => {
    const evidence = byValue({ failed: 5, proven: 95 }, ['facts.board_revision', 'A', { failed: 4 }]);
    expect(findFailingValue(evidence, NAMES, NO_CONTROL)).toBe(
      '4 of 4 devices with facts.board_revision=A failed, and 1 of the other 96; at most half of the devices with a covered value may fail',
    );
  });

  test.each([
    ['half of its devices failed', { failed: 3, proven: 3 }],
    ['its other devices are still under way', { failed: 3, underWay: 3 }],
    ['only two failed', { failed: 2 }],
    ['its devices could not fetch the image', { undelivered: 9 }],
  ])('does not if %s', (_, evidence) => {
    const all = byValue({ failed: 3, proven: 97 }, ['facts.board_revision', 'A', evidence]);
    expect(findFailingValue(all, NAMES, NO_CONTROL)).toBeUndefined();
  });

  test('does not by a name that the rollout does not give, nor by silence that comparable devices show, too', () => {
    const other = byValue({ failed: 4, proven: 96 }, ['version', '1.0.0', { failed: 4 }]);
    expect(findFailingValue(other, NAMES, NO_CONTROL)).toBeUndefined();
    const silent = byValue({ silent: 4, proven: 96 }, ['facts.board_revision', 'A', { silent: 4 }]);
    expect(findFailingValue(silent, NAMES, NO_CONTROL)).toContain('4 of 4 devices');
    expect(findFailingValue(silent, NAMES, OUTAGE)).toBeUndefined();
    expect(findFailingValue(silent, NAMES, { devices: 100, silent: 40 })).toBeUndefined();
  });
});
