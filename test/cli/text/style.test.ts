import { expect, test } from 'vitest';
import { wantsColor } from '../../../cli/text/style.ts';

test.each([
  [{}, true, true],
  [{}, false, false],
  [{ NO_COLOR: '1' }, true, false],
  [{ NO_COLOR: '1', FORCE_COLOR: '1' }, true, false],
  [{ FORCE_COLOR: '1' }, false, true],
  [{ FORCE_COLOR: '0' }, true, false],
  [{ TERM: 'dumb' }, true, false],
  [{ CI: 'true' }, false, false],
])('with %j and isTTY %s, wantsColor is %s', (env, isTTY, colors) => {
  expect(wantsColor(env, isTTY)).toBe(colors);
});
