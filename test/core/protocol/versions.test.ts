import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compareVersions,
  evaluateVersion,
  isPrerelease,
  isSameVersion,
  runsRelease,
  type VersionVerdict,
} from '../../../core/protocol/versions.ts';

const policy = {
  target: '2.4.0',
  minVersion: '2.0.0' as string | null,
  allowDowngrade: false,
  includeUnknown: false,
  counters: [],
};

describe('a device may be sent 2.4.0, which needs 2.0.0, only if it runs a version from 2.0.0 to below 2.4.0', () => {
  const cases: [string, VersionVerdict, Partial<typeof policy>?][] = [
    ['2.3.9', 'eligible'],
    ['v2.3.9', 'eligible'],
    ['2.0.0', 'eligible'],
    ['2.4.0', 'on-target'],
    ['v2.4.0', 'on-target'],
    ['2.4.0+build.7', 'on-target'],
    ['2.4.0-rc.1', 'eligible'],
    ['2.5.0', 'newer'],
    ['2.5.0', 'eligible', { allowDowngrade: true }],
    ['1.9.9', 'below-minimum'],
    ['1.9.9', 'eligible', { minVersion: null }],
    ['unknown', 'unknown'],
    ['unknown', 'eligible', { includeUnknown: true }],
    ['g0296947-dirty', 'not-comparable'],
    ['g0296947-dirty', 'not-comparable', { minVersion: null }],
    ['g0296947-dirty', 'eligible', { minVersion: null, includeUnknown: true }],
    ['2.4', 'not-comparable'],
  ];
  test.each(cases)('%s is %s %o', (current, verdict, change = {}) => {
    expect(evaluateVersion(current, { ...policy, ...change })).toBe(verdict);
  });
});

test.each([
  ['2.0.0', '1.0.0', 'lower-counter'],
  ['v2.0.0+build.7', '1.0.0', 'lower-counter'],
  ['3.0.0', '2.0.0', 'eligible'],
  ['1.5.0', '1.0.0', 'eligible'],
  ['nightly', '1.0.0', 'lower-counter'],
  ['other', '1.0.0', 'eligible'],
  ['1.0.0', '2.0.0', 'eligible'],
])('a downgrade of a device on %s to %s is %s by the anti-rollback counters', (current, target, verdict) => {
  const counters = ['2.0.0', '3.0.0', 'nightly'].map((version) => ({ version, secure_version: 2 }));
  const policy = { minVersion: null, allowDowngrade: true, includeUnknown: true, counters };
  expect(evaluateVersion(current, { target, ...policy })).toBe(verdict);
});

test.each([
  ['1.10', '1.9'],
  ['8.1.0.10', '8.1.0.3'],
  ['2026.01.05', '2025.12.31'],
  ['v1.4.0-12-gdef0123', 'v1.4.0-3-gabc0123'],
  ['1.0.0+8', '1.0.0+7'],
])('a device on %s is not sent the older %s', (current, target) => {
  expect(
    evaluateVersion(current, { target, minVersion: null, allowDowngrade: false, includeUnknown: true, counters: [] }),
  ).toBe('newer');
  expect(
    evaluateVersion(target, {
      target: current,
      minVersion: null,
      allowDowngrade: false,
      includeUnknown: false,
      counters: [],
    }),
  ).toBe('eligible');
});

describe('versions are ordered from the oldest to the newest', () => {
  const ordered = [
    '0.9',
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.beta',
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    'v1.0.0',
    '1.0.0+7',
    '1.0.0+8',
    '1.0.0+8.a',
    '1.0.0-dirty',
    'v1.0.0-3-gabcdef0',
    'v1.0.0-3-gabcdef0-dirty',
    'v1.0.0-12-gdef0123',
    '1.0.1-rc.1-4-gabcdef0',
    '1.0.1',
    '1.9',
    '1.10',
    '8.1.0.3',
    '8.1.0.10',
    '2025.12.31',
    '2026.01.05',
    '99999999999999999999999.0.0',
  ];
  test.each(ordered.slice(1).map((version, index) => [ordered[index] ?? '', version]))('%s < %s', (older, newer) => {
    expect(compareVersions(older, newer)).toBeLessThan(0);
    expect(compareVersions(newer, older)).toBeGreaterThan(0);
  });

  test('the order is transitive over all of them', () => {
    for (const [left, a] of ordered.entries()) {
      for (const [right, b] of ordered.entries()) {
        expect(Math.sign(compareVersions(a, b) ?? Number.NaN), `${a} and ${b}`).toBe(Math.sign(left - right));
      }
    }
  });

  test.each(['', 'unknown', 'g0296947-dirty', 'build-7', '1..2', '1.2.', 'v', '1.2.3-', '1.2.3+', 'release 1.2'])(
    '%j has no place in the order',
    (version) => {
      expect(compareVersions(version, '1.0.0')).toBeUndefined();
      expect(compareVersions('1.0.0', version)).toBeUndefined();
    },
  );

  test('any two texts are compared the same way in both directions', () => {
    const part = fc.constantFrom('1', '0', '10', 'rc', '-', '+', '.', 'v', 'g1234', '-3-gabcd', '-dirty');
    const text = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, text, (a, b) => {
        const [forth, back] = [compareVersions(a, b), compareVersions(b, a)];
        expect(forth === undefined ? undefined : Math.sign(forth) + 0).toEqual(
          back === undefined ? undefined : -Math.sign(back) + 0,
        );
      }),
    );
  });
});

test('two texts name one version only if they are equal, a leading v aside', () => {
  expect(isSameVersion('build-7', 'build-7')).toBe(true);
  expect(isSameVersion('build-7', 'build-8')).toBe(false);
  expect(isSameVersion('1.2.0', 'v1.2.0')).toBe(true);
  expect(isSameVersion('1.0.0+7', '1.0.0+8')).toBe(false);
  expect(isSameVersion('1.4', '1.4.0')).toBe(false);
});

test.each([
  ['1.0.0', '1.0.0', true],
  ['v1.0.0', '1.0.0', true],
  ['1.0.0+7', '1.0.0', true],
  ['1.0.0+7', '1.0.0+8', false],
  ['1.0.0', '1.0.0+8', false],
  ['1.0.0+7', '1.0.0+7', true],
  ['1.0.0-rc.1', '1.0.0', false],
])('a device that reports %s runs the release %s: %s', (reported, release, runs) => {
  expect(runsRelease(reported, release)).toBe(runs);
});

test.each([
  ['2.0.0-rc.1', true],
  ['2.0.0', false],
  ['v1.4.0-3-gabcdef0', false],
  ['2.0.0-rc.1-2-gabcdef0', true],
  ['build-7', false],
])('%s is a pre-release: %s', (version, is) => {
  expect(isPrerelease(version)).toBe(is);
});
