import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TARGETS } from '../../../tools/fuzz/targets.ts';

/** For millions of runs: `npm run fuzz -- --runs 1000000`. */
const RUNS = 2_000;

test.each(Object.entries(TARGETS))('%s: any bytes are read or refused', async (_, property) => {
  const { failed, numRuns, counterexample, errorInstance } = await fc.check(property, { numRuns: RUNS });
  expect({ failed, counterexample, error: String(errorInstance) }).toMatchObject({ failed: false });
  expect(numRuns).toBe(RUNS);
});
