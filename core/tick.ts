import type { Sql } from './database.ts';
import { driveRollout, type RolloutTick } from './drive-rollout.ts';
import { expireUpdates } from './expiry.ts';
import { releaseLease, takeLease } from './leases.ts';
import { cancelHalted, followSql } from './rollout-control.ts';
import { readActiveRollouts } from './rollouts.ts';
import { tallyEndedUpdates } from './tallying.ts';

/** Statements that cancel what a halted rollout owes; a larger one is finished by the next tick. */
const CANCELLATIONS_A_TICK = 20;

export interface DrivenRollout extends RolloutTick {
  readonly rollout: string;
}

/** Longer than a tick may run: one that died gives way to the one after next. */
const LEASE_SECONDS = 90;

/** A tick, unless another is at work. @returns undefined then */
export async function runTickAlone(
  sql: Sql,
  holder: string,
  now: Date,
  dispatch: (updateIds: readonly number[]) => Promise<void>,
): Promise<Tick | undefined> {
  if (!(await takeLease(sql, 'orchestrate', holder, now, LEASE_SECONDS))) return undefined;
  try {
    return await runTick(sql, now, dispatch);
  } finally {
    await releaseLease(sql, 'orchestrate', holder);
  }
}

export interface Tick {
  readonly expired: number;
  readonly rollouts: readonly DrivenRollout[];
}

/**
 * One tick of the orchestrator: lets silence decide, counts what has ended, and lets each active rollout do its part,
 * those first that win over others. `dispatch` gets the ids of updates that are to be sent now.
 */
export async function runTick(
  sql: Sql,
  now: Date,
  dispatch: (updateIds: readonly number[]) => Promise<void>,
): Promise<Tick> {
  await followSql(sql, now);
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
