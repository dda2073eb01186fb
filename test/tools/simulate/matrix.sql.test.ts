import { expect, test } from 'vitest';
import { findFailures, playCell } from '../../../tools/simulate/matrix.ts';

const BUILDS = ['dark', 'crash-loop', 'bad-target', 'edited'] as const;
const MIXES = ['hard', 'hard-no-uptime'] as const;

/** A slice of `npm run simulate -- --matrix`. */
test.each(MIXES.flatMap((mix) => BUILDS.map((build) => ({ mix, build, devices: 20 }))))(
  'in the mix $mix, the build $build is halted before it has reached more than 5 devices of 20',
  async (cell) => {
    expect(findFailures(cell, [await playCell(cell, 1)])).toEqual([]);
  },
  5 * 60_000,
);

test('in the mix power-loss, a good build reaches every device that has power', async () => {
  const cell = { mix: 'power-loss', build: 'good', devices: 20 } as const;
  expect(findFailures(cell, [await playCell(cell, 1)])).toEqual([]);
}, 300_000);
