import type { Sql } from '../db/index.ts';
import type { Reach, Target } from '../policy/index.ts';
import { IS_TARGETED, targetValues } from '../targeting/index.ts';
import type { RolloutRuntime } from './rollout-runtime.ts';

/**
 * Fixes which share of the matching devices is targeted: in the order of md5(rollout_id:device_id), the first
 * ceil(percentage × matching). The cutoff is stored once, so that the set is stable; whether a device that joins later
 * is targeted depends on its hash. A percentage that was raised since targets more devices; one that was lowered has no
 * effect.
 * @returns the hash cutoff; null while no device matches
 */
export async function fixTargetCutoff(sql: Sql, rollout: RolloutRuntime, target: Target): Promise<string | null> {
  if (rollout.target_hash_cutoff !== null && rollout.rollout_percentage <= (rollout.member_percentage ?? 0)) {
    return rollout.target_hash_cutoff;
  }
  const [row] = await sql.query<{ target_hash_cutoff: string | null }>(
    `WITH targeted AS NOT MATERIALIZED (
       SELECT md5(:rollout::bigint || ':' || d.device_id) AS hash FROM devices AS d WHERE ${IS_TARGETED}
     ), cutoff AS (
       SELECT CASE WHEN :percentage = 100 THEN repeat('f', 32) ELSE (
         SELECT hash FROM targeted ORDER BY hash
         OFFSET (SELECT greatest(ceil(:percentage * count(*) / 100.0), 1)::bigint - 1 FROM targeted) LIMIT 1) END AS hash
       WHERE :percentage > 0 AND EXISTS (SELECT FROM targeted)
     )
     UPDATE rollout_configurations AS r SET
       target_hash_cutoff = greatest(r.target_hash_cutoff, cutoff.hash), member_percentage = :percentage
     FROM cutoff WHERE r.id = :rollout AND (r.target_hash_cutoff IS NULL OR coalesce(r.member_percentage, 0) < :percentage)
     RETURNING r.target_hash_cutoff`,
    { rollout: rollout.id, percentage: rollout.rollout_percentage, ...targetValues(rollout.device_model, target) },
  );
  return row?.target_hash_cutoff ?? rollout.target_hash_cutoff;
}

/**
 * How a stage starts: with the devices that it reaches, or as a wave of a slow start with the number of devices that
 * may start.
 */
export type StageStart = { readonly reach: Reach } | { readonly waveSize: number | null };

/** The first wave of a slow start has this share of the targeted devices. */
const FIRST_WAVE_SHARE = 0.01;

/** In binary, 7% of 100 is slightly more than 7, and must not be rounded up to 8. */
const SHARE_OF_TARGETED = 'ceil(round((:share::double precision * targeted)::numeric, 6))::integer';

/**
 * Starts a stage: fixes the devices that it reaches (in the order of their hashes, the first ceil(share × targeted), at
 * least one; later joiners by their hash) and allows them to be assigned. A null `waveSize` is the first wave of a slow
 * start. Does nothing if the stage has already started.
 * @returns the hash cutoff and size now in force; undefined if the rollout changed meanwhile
 */
export async function beginStage(
  sql: Sql,
  rollout: Pick<RolloutRuntime, 'id' | 'device_model' | 'generation'> & { readonly target_hash_cutoff: string },
  target: Target,
  stage: number,
  start: StageStart,
  now: Date,
): Promise<{ hash_cutoff: string; size: number } | undefined> {
  const isSlowStart = 'waveSize' in start;
  const reach = isSlowStart ? { share: FIRST_WAVE_SHARE } : start.reach;
  const [row] = await sql.query<{ hash_cutoff: string; size: number }>(
    `WITH fence AS (
       SELECT rollout_id, start_limit FROM rollout_runtime
       WHERE rollout_id = :rollout AND generation = :generation AND NOT is_stopped FOR UPDATE
     ), targeted AS NOT MATERIALIZED (
       SELECT md5(:rollout::bigint || ':' || d.device_id) AS hash FROM devices AS d
       WHERE ${IS_TARGETED}
         AND (:target_cutoff = repeat('f', 32) OR md5(:rollout::bigint || ':' || d.device_id) <= :target_cutoff)
     ), counted AS (
       SELECT count(*)::integer AS targeted FROM targeted
     ), reached AS (
       SELECT targeted, coalesce(:wave_size::integer,
         least(targeted, greatest(1, coalesce(:count::integer, ${SHARE_OF_TARGETED})))) AS size
       FROM counted
     ), started AS (
       INSERT INTO rollout_stages (rollout_id, stage, hash_cutoff, target_count, start_quota, began_at)
       SELECT fence.rollout_id, :stage,
         CASE WHEN :slow::boolean OR :share::double precision = 1 THEN :target_cutoff
           -- If no device is targeted now, the stage reaches none: an empty text sorts before every hash.
           ELSE greatest('', (SELECT hash FROM targeted ORDER BY hash OFFSET greatest(size, 1) - 1 LIMIT 1),
             (SELECT max(hash_cutoff) FROM rollout_stages WHERE rollout_id = :rollout)) END,
         CASE WHEN NOT :slow::boolean THEN greatest(size, 1) END, CASE WHEN :slow::boolean THEN greatest(size, 1) END,
         :now::timestamptz
       FROM fence, reached
       ON CONFLICT DO NOTHING
       RETURNING rollout_id, stage, hash_cutoff, coalesce(start_quota, target_count) AS size
     ), before AS (
       UPDATE rollout_stages SET ended_at = :now::timestamptz
       WHERE rollout_id = (SELECT rollout_id FROM started) AND stage = :stage::integer - 1
     ), runtime AS (
       UPDATE rollout_runtime AS p SET stage = started.stage,
         start_limit = CASE WHEN :slow::boolean THEN p.started_count + started.size END
       FROM started WHERE p.rollout_id = started.rollout_id
     ), event AS (
       INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
       SELECT rollout_id, CASE WHEN stage = 0 THEN 'rollout_started' ELSE 'rollout_stage_began' END, :now::timestamptz,
         jsonb_build_object('stage', stage, 'devices', started.size, 'targeted', targeted),
         md5(rollout_id || ' stage ' || stage || ' ' || :generation)
       FROM started, reached
       ON CONFLICT DO NOTHING
     )
     SELECT hash_cutoff, size FROM started`,
    {
      rollout: rollout.id,
      generation: rollout.generation,
      target_cutoff: rollout.target_hash_cutoff,
      stage,
      slow: isSlowStart,
      wave_size: isSlowStart ? start.waveSize : null,
      share: 'share' in reach ? reach.share : null,
      count: 'count' in reach ? reach.count : null,
      now,
      ...targetValues(rollout.device_model, target),
    },
  );
  return row;
}

/** Records since when the gate of the current stage is met, or that it is not met. */
export async function recordGate(sql: Sql, rollout: RolloutRuntime, since: Date | null): Promise<void> {
  await sql.query(
    `UPDATE rollout_stages SET gate_held_since = :since::timestamptz
     WHERE rollout_id = :rollout AND stage = :stage AND gate_held_since IS DISTINCT FROM :since::timestamptz`,
    { rollout: rollout.id, stage: rollout.stage, since },
  );
}
