import { eligibleVersions } from '../../core/orchestrator/index.ts';
import { loadRolloutRuntime } from '../../core/rollouts/index.ts';
import type { RolloutId } from '../../core/util/index.ts';
import type { Services } from './context.ts';
import { trustOf } from './stepping-stones.ts';

/** The versions from which the failed devices of a rollout may still be updated. */
export async function retryVersions({ sql, settings, now }: Services, rolloutId: RolloutId): Promise<string[]> {
  const rollout = await loadRolloutRuntime(sql, rolloutId);
  return rollout === undefined ? [] : eligibleVersions(sql, rollout, trustOf(settings), now());
}
