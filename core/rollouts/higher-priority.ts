import { readInPages, type Sql, select } from '../db/index.ts';
import { boundedFilter, parseTarget } from '../policy/index.ts';
import { runsRelease } from '../protocol/index.ts';
import { type HigherPriorityRollout, toHigherPriorityRollout } from '../targeting/index.ts';
import { type RolloutRuntime, rolloutRuntime } from './rollout-runtime.ts';

/** Filters of the largest size that fit a response. */
const FILTERS_PER_PAGE = 15;
/** Bytes of the filters of higher-priority rollouts, which are a parameter of each statement that assigns devices. */
export const MAX_HIGHER_PRIORITY_BYTES = 1_000_000;

const HIGHER_PRIORITY_FILTER = boundedFilter('w');

const higherPriorityRow = rolloutRuntime.pick({
  id: true,
  firmware_version: true,
  target_type: true,
  target_filter: true,
  rollout_percentage: true,
  target_hash_cutoff: true,
  member_percentage: true,
  counted_at: true,
});

/**
 * The higher-priority rollouts that keep devices from the given one: those that are running, and newer ones that are
 * completed. Only devices on their target version are kept; a rollout whose version no device uses is left out.
 */
export async function loadHigherPriorityRollouts(
  sql: Sql,
  rollout: Pick<RolloutRuntime, 'id' | 'device_model' | 'priority'>,
  versionsInUse: readonly string[],
): Promise<HigherPriorityRollout[]> {
  const rows = await readInPages(
    (page) =>
      select(
        sql,
        higherPriorityRow,
        `SELECT w.id, w.firmware_version, w.target_hash_cutoff, w.member_percentage, w.counted_at, w.target_type, ${HIGHER_PRIORITY_FILTER},
       w.rollout_percentage
     FROM rollout_configurations AS w
     WHERE w.device_model = :model AND (w.priority, w.id) > (:priority::integer, :rollout::bigint)
       AND w.target_hash_cutoff IS NOT NULL AND w.is_active AND w.paused_at IS NULL AND w.aborted_at IS NULL
       AND (w.completed_at IS NULL OR w.id > :rollout::bigint)
       AND w.firmware_version IN (SELECT jsonb_array_elements_text(:versions::jsonb))
     ORDER BY w.id DESC LIMIT :limit OFFSET :offset`,
        {
          model: rollout.device_model,
          priority: rollout.priority,
          rollout: rollout.id,
          versions: versionsInUse.flatMap((version) => [version, `v${version}`, version.replace(/^v/i, '')]),
          ...page,
        },
      ),
    FILTERS_PER_PAGE,
  );
  return rows.flatMap((other) => {
    const target = parseTarget(other.target_type, other.target_filter, other.rollout_percentage);
    const onTarget = versionsInUse.filter((version) => runsRelease(version, other.firmware_version));
    return target.ok ? toHigherPriorityRollout(other, onTarget, target.value) : [];
  });
}
