import { expect } from 'vitest';
import { sha256 } from '../../core/rule-message.ts';
import { findExceeded, findLost } from './losses.ts';
import type { TestSystem } from './system.ts';

interface Taken {
  readonly topic: string;
  readonly received_at: number;
  readonly payload: string;
}

/** Every message that a rule took is in the database or in `rejected_messages`, and none waits in a queue. */
export async function expectNothingLost({ database }: TestSystem, taken: readonly string[]): Promise<void> {
  const messages = taken.map((body) => {
    const { topic, received_at: at, payload } = JSON.parse(body) as Taken;
    return { topic, at, hash: sha256(Buffer.from(payload, 'base64')) };
  });
  expect(await findLost(database, messages)).toEqual([]);
}

/** What an open update holds of its rollout's limits is what its pace row says, and never more than it allows. */
export async function expectWithinLimits({ database }: TestSystem): Promise<void> {
  expect(await findExceeded(database)).toEqual([]);
}
