import { describe, expect, test } from 'vitest';
import { evaluateVersion, isSameVersion, type VersionVerdict } from '../../../core/policy/versions.ts';

const policy = { target: '2.4.0', minVersion: '2.0.0' as string | null, allowDowngrade: false, includeUnknown: false };

describe('which versions may be updated to 2.4.0 with minimum 2.0.0', () => {
  const cases: [string, VersionVerdict, Partial<typeof policy>?][] = [
    ['2.3.9', 'eligible'],
    ['v2.3.9', 'eligible'],
    ['2.0.0', 'eligible'],
    ['2.4.0', 'on-target'],
    ['v2.4.0', 'on-target'],
    ['2.4.0-rc.1', 'eligible'],
    ['2.5.0', 'newer'],
    ['2.5.0', 'eligible', { allowDowngrade: true }],
    ['1.9.9', 'below-minimum'],
    ['1.9.9', 'eligible', { minVersion: null }],
    ['unknown', 'unknown'],
    ['unknown', 'eligible', { includeUnknown: true }],
    ['g0296947-dirty', 'not-comparable'],
    ['g0296947-dirty', 'eligible', { minVersion: null }],
  ];
  test.each(cases)('%s is %s %o', (current, verdict, change = {}) => {
    expect(evaluateVersion(current, { ...policy, ...change })).toBe(verdict);
  });
});

test('versions that are not semver are the same only if their text is equal', () => {
  expect(isSameVersion('build-7', 'build-7')).toBe(true);
  expect(isSameVersion('build-7', 'build-8')).toBe(false);
  expect(isSameVersion('1.2.0', 'v1.2.0')).toBe(true);
});
