import { expect, test } from 'vitest';
import { labelOf } from '../../../../console/src/text/labels.ts';

test.each([
  [{ status: 'success', is_open: true, booted_at: null }, 'installed, not booted yet', 'busy'],
  [{ status: 'success', is_open: true, booted_at: '2026-03-02T12:00:00.000Z' }, 'on probation', 'busy'],
  [{ status: 'success', is_open: false, booted_at: '2026-03-02T12:00:00.000Z' }, 'success', 'ok'],
  [{ status: 'rolled_back', is_open: false, booted_at: null }, 'rolled back', 'bad'],
] as const)('the update %j has the label "%s" with the tone %s', (update, text, tone) => {
  expect(labelOf(update)).toEqual({ text, tone });
});
