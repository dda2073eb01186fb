import { expect } from 'vitest';
import { findExceeded, findLost, type QueuedMessage } from './losses.ts';
import type { TestSystem } from './system.ts';

/** Expects that every message that a rule queued is in the database, `rejected_messages` included. */
export async function expectNothingLost({ database }: TestSystem, queued: readonly QueuedMessage[]): Promise<void> {
  expect(await findLost(database, queued)).toEqual([]);
}

/** Expects that no rollout exceeds its limits, and that each `in_flight` is the number of its updates in flight. */
export async function expectWithinLimits({ database }: TestSystem): Promise<void> {
  expect(await findExceeded(database)).toEqual([]);
}
