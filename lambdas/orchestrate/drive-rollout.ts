import type { Sql } from '../../core/database.ts';
import { pickOwedUpdates } from '../../core/dispatching.ts';
import {
  type ActiveRollout,
  claimDevices,
  completeRollout,
  fixMemberThreshold,
  pauseRollout,
  readVersionsInUse,
} from '../../core/rollouts.ts';
import { readTarget } from '../../core/target-filter.ts';
import { judgeVersion } from '../../core/versions.ts';

/** Devices claimed in one tick; a larger rollout goes on at the next. */
const CLAIMS_A_TICK = 5_000;
const DISPATCHES_A_TICK = 500;
/** How long a picked update is left to the dispatch queue before a tick picks it again. */
const PUT_OFF_SECONDS = 60;

export interface RolloutTick {
  readonly claimed: number;
  /** Ids of updates to dispatch now. */
  readonly owed: readonly number[];
  readonly state: 'waiting for its release' | 'waiting for devices' | 'paused' | 'active' | 'completed';
}

/** What one rollout does in one tick: claims the devices that may be updated, picks what is to be sent, ends when done. */
export async function driveRollout(sql: Sql, rollout: ActiveRollout, now: Date): Promise<RolloutTick> {
  const idle = { claimed: 0, owed: [] };
  if (rollout.release_id === null) return { ...idle, state: 'waiting for its release' };
  const read = readTarget(rollout.target_type, rollout.target_filter, rollout.rollout_percentage);
  if (!read.ok) {
    await pauseRollout(sql, rollout.id, read.reason, 'orchestrator', now);
    return { ...idle, state: 'paused' };
  }
  const threshold = rollout.member_threshold ?? (await fixMemberThreshold(sql, rollout, read.target));
  if (threshold === null) return { ...idle, state: 'waiting for devices' };

  const versions = (await readVersionsInUse(sql, rollout.device_model)).filter((current) =>
    isEligible(current, rollout),
  );
  const member = { ...rollout, member_threshold: threshold };
  const claimed = await claimDevices(sql, member, read.target, versions, CLAIMS_A_TICK, now);
  const owed = await pickOwedUpdates(sql, rollout.id, DISPATCHES_A_TICK, now, PUT_OFF_SECONDS);
  const completed = claimed === 0 && owed.length === 0 && (await completeRollout(sql, rollout.id, now));
  return { claimed, owed, state: completed ? 'completed' : 'active' };
}

const isEligible = (current: string, rollout: ActiveRollout) =>
  judgeVersion(current, {
    target: rollout.firmware_version,
    minVersion: rollout.min_version,
    allowDowngrade: rollout.allow_downgrade,
    includeUnknown: rollout.include_unknown,
  }) === 'eligible';
