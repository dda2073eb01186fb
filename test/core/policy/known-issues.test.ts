import { expect, test } from 'vitest';
import { describeIssueEnd, hasIssue } from '../../../core/policy/index.ts';

test.each<[string, string, string | null, boolean]>([
  ['2.0.0', '2.0.0', null, true],
  ['v2.0.0', '2.0.0', null, true],
  ['2.0.0+abc', '2.0.0', null, true],
  ['1.9.9', '2.0.0', null, false],
  ['2.0.0-rc.1', '2.0.0', null, false],
  ['7.0.0', '2.0.0', null, true],
  ['2.0.9', '2.0.0', '2.1.0', true],
  ['2.1.0-rc.1', '2.0.0', '2.1.0', true],
  ['2.1.0', '2.0.0', '2.1.0', false],
  ['3.0.0', '2.0.0', '2.1.0', false],
  ['nightly', 'nightly', null, true],
  ['nightly', '2.0.0', null, false],
  ['2.0.0', 'nightly', null, false],
])('%s, of an issue that was found in %s and is fixed in %s: %s', (version, found_version, fixed_version, expected) => {
  expect(hasIssue({ found_version, fixed_version }, version)).toBe(expected);
});

test('the release that fixes it is what a device waits for', () => {
  const issue = { issue_id: 3, title: 'x', found_version: '2.0.0', fixed_version: '2.1.0' };
  expect(describeIssueEnd(issue)).toBe(
    'nothing, until 2.1.0 is sent, which fixes it, or the issue is withdrawn: `paku-ota issue show 3`',
  );
});
