import { forgetChanges } from '../assignment/index.ts';
import type { Sql } from '../db/index.ts';
import { releaseLease, SqlError, takeLease } from '../db/index.ts';
import { cancelRevoked } from '../devices/index.ts';
import { applyHoldTimes, postponeHeld } from '../holds/index.ts';
import { ORCHESTRATOR } from '../policy/index.ts';
import { NO_SIGNATURE_REQUIRED, type TrustRule } from '../release-policy/index.ts';
import {
  adoptSqlChanges,
  cancelStopped,
  decideSteppingStones,
  describeTooManyTargets,
  haltUnapproved,
  listActiveRolloutIds,
  loadRolloutRuntime,
  NOT_APPROVED,
  repairStages,
  restartChangedVersions,
  stopRollout,
} from '../rollouts/index.ts';
import { expireUpdates, releaseSlots } from '../updates/index.ts';
import type { RolloutId, UpdateId } from '../util/index.ts';
import { compactCounters } from './compact-counters.ts';
import { driveRollout, type RolloutTick } from './drive-rollout.ts';

/** Maximum statements per tick that cancel updates of stopped rollouts; the next tick continues. */
const CANCELLATIONS_PER_TICK = 20;

export interface DrivenRollout extends RolloutTick {
  readonly rollout: string;
}

/** Settings of the deployment that a tick enforces. */
export interface TickRules {
  readonly trust: TrustRule;
  /** True if nothing may run that a second person has not approved. */
  readonly requireApproval: boolean;
}

const NO_RULES: TickRules = { trust: NO_SIGNATURE_REQUIRED, requireApproval: false };

/** Longer than a tick may run. After a tick that crashed, the tick after next can take the lease. */
const LEASE_SECONDS = 90;

/**
 * Runs a tick, unless another one is running.
 * @returns undefined if another one is running
 */
export async function runTickAlone(
  sql: Sql,
  holder: string,
  now: Date,
  dispatch: (updateIds: readonly UpdateId[]) => Promise<void>,
  rules: TickRules = NO_RULES,
  processedUntil = now,
): Promise<Tick | undefined> {
  if (!(await takeLease(sql, 'orchestrate', holder, now, LEASE_SECONDS))) return undefined;
  try {
    return await runTick(sql, now, dispatch, rules, processedUntil);
  } finally {
    await releaseLease(sql, 'orchestrate', holder);
  }
}

export interface Tick {
  readonly expired: number;
  readonly rollouts: readonly DrivenRollout[];
  /** Rollouts that failed, with the error; the other rollouts were still processed. */
  readonly problems: readonly { readonly rolloutId: RolloutId; readonly error: unknown }[];
}

/**
 * Runs one tick of the orchestrator: times out updates, counts outcomes and runs each active rollout, highest priority
 * first. `dispatch` gets the ids of updates to send now. Silence is evaluated at `processedUntil`, the time up to which
 * messages of devices have been processed.
 */
export async function runTick(
  sql: Sql,
  now: Date,
  dispatch: (updateIds: readonly UpdateId[]) => Promise<void>,
  rules: TickRules = NO_RULES,
  processedUntil = now,
): Promise<Tick> {
  if (rules.requireApproval) await haltUnapproved(sql, now);
  await adoptSqlChanges(sql, now);
  await repairStages(sql);
  await restartChangedVersions(sql, now);
  await decideSteppingStones(sql, rules.trust, now);
  await cancelRevoked(sql, now);
  await applyHoldTimes(sql, now);
  await postponeHeld(sql, now);
  const expired = await expireUpdates(sql, now, processedUntil);
  await cancelAllStopped(sql, now);
  await releaseSlots(sql);
  await forgetChanges(sql);
  await compactCounters(sql);
  const rollouts: DrivenRollout[] = [];
  const problems: { rolloutId: RolloutId; error: unknown }[] = [];
  for (const id of await listActiveRolloutIds(sql)) {
    try {
      const tick = await driveById(sql, id, rules, now, processedUntil);
      await dispatch(tick?.pending ?? []);
      if (tick !== undefined) rollouts.push(tick);
    } catch (error) {
      problems.push({ rolloutId: id, error });
    }
  }
  await cancelAllStopped(sql, now);
  return { expired, rollouts, problems };
}

/** @returns undefined if the rollout was stopped meanwhile */
async function driveById(
  sql: Sql,
  id: RolloutId,
  rules: TickRules,
  now: Date,
  processedUntil: Date,
): Promise<DrivenRollout | undefined> {
  const rollout = await loadRolloutRuntime(sql, id);
  if (!rollout?.is_active || rollout.paused_at !== null) return undefined;
  if (rollout.completed_at !== null || rollout.aborted_at !== null) return undefined;
  // SQL may have changed it since the tick began.
  if (rules.requireApproval && !rollout.is_approved) return haltIn(sql, rollout, NOT_APPROVED, now);
  try {
    const tick = await driveRollout(sql, rollout, now, rules.trust, processedUntil);
    const tooMany = rules.requireApproval && tick.assigned > 0 ? await describeTooManyTargets(sql, id) : undefined;
    return tooMany === undefined ? { rollout: rollout.name, ...tick } : haltIn(sql, rollout, tooMany, now);
  } catch (error) {
    if (!(error instanceof SqlError && error.isDataProblem)) throw error;
    return haltIn(sql, rollout, `the database refuses a value in its row: ${error.message}`, now);
  }
}

async function haltIn(
  sql: Sql,
  { id: rolloutId, name }: { readonly id: RolloutId; readonly name: string },
  reason: string,
  now: Date,
): Promise<DrivenRollout> {
  await stopRollout(sql, { rolloutId, reason, by: ORCHESTRATOR }, now);
  return { rollout: name, assigned: 0, pending: [], state: `halted: ${reason}`, dueAt: null };
}

async function cancelAllStopped(sql: Sql, now: Date): Promise<void> {
  for (let calls = 0; calls < CANCELLATIONS_PER_TICK; calls++) {
    if ((await cancelStopped(sql, now)) === 0) return;
  }
}
