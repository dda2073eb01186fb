import { expect } from 'vitest';
import { findExceeded, findLost, type TakenMessage } from './losses.ts';
import type { TestSystem } from './system.ts';

/** Every message that a rule took is in the database or in `rejected_messages`, and none waits in a queue. */
export async function expectNothingLost({ database }: TestSystem, taken: readonly TakenMessage[]): Promise<void> {
  expect(await findLost(database, taken)).toEqual([]);
}

/** What an open update holds of its rollout's limits is what its pace row says, and never more than it allows. */
export async function expectWithinLimits({ database }: TestSystem): Promise<void> {
  expect(await findExceeded(database)).toEqual([]);
}
