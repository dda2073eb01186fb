import { expect, test } from 'vitest';
import { compileInputTransformer } from '../../../../local/services/events/index.ts';

test('an input transformer inserts texts of the event into quoted lines', () => {
  const transform = compileInputTransformer({
    InputPathsMap: { reason: '$.detail.notice.reason', at: '$.time', none: '$.detail.none' },
    InputTemplate: '"Reason: <reason>"\n"At <at><none>."',
  });
  const event = { time: '2026', detail: { notice: { reason: 'it failed' } } };
  expect(transform(JSON.stringify(event))).toBe('"Reason: it failed"\n"At 2026."');
});

test.each([
  [{ InputTemplate: '{"a": <b>}', InputPathsMap: { b: '$.b' } }],
  [{ InputTemplate: '"<b>"', InputPathsMap: { b: '$.b[0]' } }],
])('the local runtime refuses a transformer that it does not know: %j', (transformer) => {
  expect(() => compileInputTransformer(transformer)).toThrow(/the local runtime/);
});
