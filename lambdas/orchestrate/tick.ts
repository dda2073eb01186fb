import type { Sql } from '../../core/database.ts';
import { expireUpdates } from '../../core/expiry.ts';
import { cancelHalted } from '../../core/rollout-control.ts';
import { readActiveRollouts } from '../../core/rollouts.ts';
import { tallyEndedUpdates } from '../../core/tallying.ts';
import { driveRollout, type RolloutTick } from './drive-rollout.ts';

/** Statements that cancel what a halted rollout owes; a larger one is finished by the next tick. */
const CANCELLATIONS_A_TICK = 20;

export interface DrivenRollout extends RolloutTick {
  readonly rollout: string;
}

/**
 * One tick of the orchestrator: lets silence decide, counts what has ended, and lets each active rollout do its part,
 * those first that win over others. `dispatch` gets the ids of updates that are to be sent now.
 */
export async function runTick(
  sql: Sql,
  now: Date,
  dispatch: (updateIds: readonly number[]) => Promise<void>,
): Promise<{ expired: number; rollouts: DrivenRollout[] }> {
  const expired = await expireUpdates(sql, now);
  await cancelAllHalted(sql, now);
  await tallyEndedUpdates(sql);
  const rollouts: DrivenRollout[] = [];
  for (const rollout of await readActiveRollouts(sql)) {
    const tick = await driveRollout(sql, rollout, now);
    await dispatch(tick.owed);
    rollouts.push({ rollout: rollout.name, ...tick });
  }
  await cancelAllHalted(sql, now);
  return { expired, rollouts };
}

async function cancelAllHalted(sql: Sql, now: Date): Promise<void> {
  for (let calls = 0; calls < CANCELLATIONS_A_TICK; calls++) {
    if ((await cancelHalted(sql, now)) === 0) return;
  }
}
