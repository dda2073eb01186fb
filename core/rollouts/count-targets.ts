import * as z from 'zod';
import { type Sql, select } from '../db/index.ts';
import type { Target } from '../policy/index.ts';
import {
  cutoffValues,
  HASH,
  IN_SHARE,
  IN_STAGE,
  IS_TARGETED,
  type TargetCutoffs,
  targetValues,
} from '../targeting/index.ts';
import type { RolloutRuntime } from './rollout-runtime.ts';

const targetCutoffs = z.strictObject({
  target_hash_cutoff: z.string().nullable(),
  member_percentage: z.int().nullable(),
  counted_at: z.date().nullable(),
});

/**
 * Counts the targets and fixes which share of them takes part: in the order of md5(rollout_id:device_id), the first
 * ceil(percentage × targets). Devices that register later take part with the probability of the percentage. A percentage
 * that was raised since includes more devices of both kinds; one that was lowered has no effect.
 * @returns null while no device matches
 */
export async function countTargets(sql: Sql, rollout: RolloutRuntime, target: Target): Promise<TargetCutoffs | null> {
  const { target_hash_cutoff, member_percentage, counted_at } = rollout;
  if (target_hash_cutoff !== null && rollout.rollout_percentage <= (member_percentage ?? 0)) {
    return { target_hash_cutoff, member_percentage, counted_at };
  }
  const [row] = await select(
    sql,
    targetCutoffs,
    `WITH targeted AS NOT MATERIALIZED (
       SELECT ${HASH} AS hash, d.registered_at FROM devices AS d
       WHERE ${IS_TARGETED} AND (:countedAt::timestamptz IS NULL OR d.registered_at <= :countedAt::timestamptz)
     ), counted AS (
       -- Whole milliseconds, as programs read times.
       SELECT count(*) AS targets, date_trunc('milliseconds', max(registered_at) + interval '999 microseconds') AS until
       FROM targeted
     ), cutoff AS (
       SELECT until, CASE WHEN :percentage = 100 THEN repeat('f', 32) ELSE (
         SELECT hash FROM targeted ORDER BY hash
         OFFSET (SELECT greatest(ceil(:percentage * targets / 100.0), 1)::bigint - 1 FROM counted) LIMIT 1) END AS hash
       FROM counted WHERE targets > 0 OR :countedAt::timestamptz IS NOT NULL
     )
     UPDATE rollout_configurations AS r SET target_hash_cutoff = greatest(r.target_hash_cutoff, cutoff.hash),
       member_percentage = :percentage, counted_at = coalesce(r.counted_at, cutoff.until)
     FROM cutoff WHERE r.id = :rollout AND (r.target_hash_cutoff IS NULL OR coalesce(r.member_percentage, 0) < :percentage)
     RETURNING r.target_hash_cutoff, r.member_percentage, r.counted_at`,
    {
      rollout: rollout.id,
      countedAt: counted_at,
      percentage: rollout.rollout_percentage,
      ...targetValues(rollout.device_model, target),
    },
  );
  if (row !== undefined && row.target_hash_cutoff !== null) return row;
  return target_hash_cutoff === null ? null : { target_hash_cutoff, member_percentage, counted_at };
}

/** True if the percentage includes a device that the present stage does not. */
export async function hasTargetsOutsideStage(sql: Sql, rollout: RolloutRuntime, target: Target): Promise<boolean> {
  const [row] = await select(
    sql,
    z.strictObject({ found: z.boolean() }),
    `SELECT EXISTS (SELECT FROM devices AS d WHERE ${IS_TARGETED} AND ${IN_SHARE} AND NOT ${IN_STAGE}) AS found`,
    { rollout: rollout.id, ...cutoffValues(rollout), ...targetValues(rollout.device_model, target) },
  );
  return row?.found ?? false;
}
