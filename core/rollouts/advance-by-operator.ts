import type { Sql } from '../db/index.ts';
import { parsePlan, parseTarget } from '../policy/index.ts';
import { runsRelease } from '../protocol/index.ts';
import { type RolloutChange, recordAdvance } from './rollout-control.ts';
import { listVersionsInUse, loadRolloutRuntime } from './rollout-runtime.ts';
import { beginStage } from './stages.ts';

/**
 * Starts the next stage of an active rollout regardless of its gate. A slow start gets a wave twice as large.
 * @returns true, or why no stage can be started
 */
export async function advanceRollout(sql: Sql, change: RolloutChange, now: Date): Promise<true | string> {
  const rollout = await loadRolloutRuntime(sql, change.rolloutId);
  const isActive =
    rollout?.is_active && rollout.paused_at === null && rollout.completed_at === null && rollout.aborted_at === null;
  if (rollout === undefined || !isActive) return 'it is not active';
  const plan = parsePlan(rollout);
  const target = parseTarget(rollout.target_type, rollout.target_filter, rollout.rollout_percentage);
  if (!plan.ok) return plan.reason;
  if (!target.ok) return target.reason;
  const { target_hash_cutoff, stage_hash_cutoff, stage_size } = rollout;
  if (target_hash_cutoff === null || stage_hash_cutoff === null) return 'it has not started';
  const { stages } = plan.value;
  const next = rollout.stage + 1;
  const reach = stages?.[next]?.reach;
  if (stages !== null && reach === undefined) return 'it is in its last stage';
  const start = reach === undefined ? { waveSize: (stage_size ?? 1) * 2 } : { reach };
  const versionsInUse = await listVersionsInUse(sql, rollout.device_model);
  const others = versionsInUse.filter((version) => !runsRelease(version, rollout.firmware_version));
  const started = await beginStage(sql, rollout, target.value, next, start, others, now);
  if (started === undefined) return 'it changed meanwhile';
  await recordAdvance(sql, change, now);
  return true;
}
