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
 * @param eligibleVersions from which the rollout may update devices
 * @returns the hash cutoff, size and sample now in force; undefined if the rollout changed meanwhile
 */
export async function beginStage(
  sql: Sql,
  rollout: Pick<RolloutRuntime, 'id' | 'device_model' | 'generation'> & { readonly target_hash_cutoff: string },
  target: Target,
  stage: number,
  start: StageStart,
  eligibleVersions: readonly string[],
  now: Date,
): Promise<{ hash_cutoff: string; size: number; sample: number | null } | undefined> {
  const isSlowStart = 'waveSize' in start;
  const reach = isSlowStart ? { share: FIRST_WAVE_SHARE } : start.reach;
  const [row] = await sql.query<{ hash_cutoff: string; size: number; sample: number | null }>(
    `WITH fence AS (
       SELECT rollout_id, start_limit FROM rollout_runtime
       WHERE rollout_id = :rollout AND generation = :generation AND NOT is_stopped FOR UPDATE
     ), targeted AS NOT MATERIALIZED (
       SELECT md5(:rollout::bigint || ':' || d.device_id) AS hash, d.current_firmware_version AS version FROM devices AS d
       WHERE ${IS_TARGETED}
         AND (:target_cutoff = repeat('f', 32) OR md5(:rollout::bigint || ':' || d.device_id) <= :target_cutoff)
     ), counted AS (
       SELECT count(*)::integer AS targeted FROM targeted
     ), reached AS (
       SELECT targeted, coalesce(:wave_size::integer,
         least(targeted, greatest(1, coalesce(:count::integer, ${SHARE_OF_TARGETED})))) AS size
       FROM counted
     ), before AS (
       SELECT coalesce(max(hash_cutoff), '') AS hash_cutoff FROM rollout_stages WHERE rollout_id = :rollout
     ), cutoff AS (
       SELECT CASE WHEN :slow::boolean OR :share::double precision = 1 THEN :target_cutoff
           -- If no device is targeted now, the stage reaches none: an empty text sorts before every hash.
           ELSE greatest((SELECT hash FROM targeted ORDER BY hash OFFSET greatest(size, 1) - 1 LIMIT 1),
             (SELECT hash_cutoff FROM before)) END AS hash_cutoff
       FROM reached
     ), sample AS (
       SELECT count(*)::integer AS devices FROM targeted, before, cutoff
       WHERE NOT :slow::boolean AND hash > before.hash_cutoff AND hash <= cutoff.hash_cutoff
         AND version IN (SELECT jsonb_array_elements_text(:eligible::jsonb))
     ), started AS (
       INSERT INTO rollout_stages (rollout_id, stage, hash_cutoff, target_count, sample_count, start_quota, began_at)
       SELECT fence.rollout_id, :stage, cutoff.hash_cutoff,
         CASE WHEN NOT :slow::boolean THEN greatest(size, 1) END, CASE WHEN NOT :slow::boolean THEN sample.devices END,
         CASE WHEN :slow::boolean THEN greatest(size, 1) END, :now::timestamptz
       FROM fence, reached, cutoff, sample
       ON CONFLICT DO NOTHING
       RETURNING rollout_id, stage, hash_cutoff, coalesce(start_quota, target_count) AS size, sample_count AS sample
     ), ended AS (
       UPDATE rollout_stages SET ended_at = :now::timestamptz
       WHERE rollout_id = (SELECT rollout_id FROM started) AND stage = :stage::integer - 1
     ), runtime AS (
       UPDATE rollout_runtime AS p SET stage = started.stage,
         start_limit = CASE WHEN :slow::boolean THEN p.finished_count + started.size END
       FROM started WHERE p.rollout_id = started.rollout_id
     ), event AS (
       INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
       SELECT rollout_id, CASE WHEN stage = 0 THEN 'rollout_started' ELSE 'rollout_stage_began' END, :now::timestamptz,
         jsonb_build_object('stage', stage, 'devices', started.size, 'targeted', targeted),
         md5(rollout_id || ' stage ' || stage || ' ' || :generation)
       FROM started, reached
       ON CONFLICT DO NOTHING
     )
     SELECT hash_cutoff, size, sample FROM started`,
    {
      rollout: rollout.id,
      generation: rollout.generation,
      target_cutoff: rollout.target_hash_cutoff,
      stage,
      slow: isSlowStart,
      wave_size: isSlowStart ? start.waveSize : null,
      share: 'share' in reach ? reach.share : null,
      count: 'count' in reach ? reach.count : null,
      eligible: eligibleVersions,
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

/**
 * Lets a slow start send to as many devices as one wave has room for: those that have ended make room, and so do devices
 * that went silent, which could otherwise block their wave.
 */
export async function setStartLimit(sql: Sql, rollout: RolloutRuntime): Promise<number | null> {
  const silent = rollout.silent_updates.reduce((sum, { updates }) => sum + updates, 0);
  const [row] = await sql.query<{ start_limit: number }>(
    `UPDATE rollout_runtime AS p SET start_limit = p.finished_count + :silent::integer + s.start_quota
     FROM rollout_stages AS s
     WHERE p.rollout_id = :rollout AND s.rollout_id = p.rollout_id AND s.stage = p.stage AND p.start_limit IS NOT NULL
       AND s.start_quota IS NOT NULL AND NOT p.is_stopped AND p.generation = :generation
     RETURNING p.start_limit`,
    { rollout: rollout.id, generation: rollout.generation, silent },
  );
  return row?.start_limit ?? rollout.start_limit;
}

/**
 * Gives the present stage more devices, the next in the order of their hashes: it is repeated after a halt, or members
 * that give no outcome are replaced. @returns the hash cutoff now in force
 */
export async function extendStage(
  sql: Sql,
  rollout: RolloutRuntime & { readonly target_hash_cutoff: string },
  target: Target,
  devices: number,
  reason: string,
  now: Date,
): Promise<string | null> {
  const [row] = await sql.query<{ hash_cutoff: string }>(
    `WITH next AS (
       SELECT md5(:rollout::bigint || ':' || d.device_id) AS hash FROM devices AS d
       WHERE ${IS_TARGETED} AND md5(:rollout::bigint || ':' || d.device_id) > :cutoff
         AND md5(:rollout::bigint || ':' || d.device_id) <= :target_cutoff
       ORDER BY hash LIMIT :extra::integer
     ), extended AS (
       UPDATE rollout_stages AS s SET
         hash_cutoff = CASE WHEN (SELECT count(*) FROM next) < :extra::integer THEN :target_cutoff
           ELSE (SELECT max(hash) FROM next) END,
         extended_at = :now::timestamptz, must_repeat = false, gate_held_since = NULL
       FROM rollout_runtime AS p
       WHERE s.rollout_id = :rollout AND p.rollout_id = s.rollout_id AND s.stage = p.stage
         AND p.generation = :generation AND NOT p.is_stopped
       RETURNING s.rollout_id, s.stage, s.hash_cutoff
     ), event AS (
       INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
       SELECT rollout_id, 'rollout_stage_extended', :now::timestamptz,
         jsonb_build_object('stage', stage, 'devices', (SELECT count(*) FROM next), 'reason', :reason::text),
         md5(rollout_id || ' extended ' || :now::timestamptz)
       FROM extended ON CONFLICT DO NOTHING
     )
     SELECT hash_cutoff FROM extended`,
    {
      rollout: rollout.id,
      generation: rollout.generation,
      cutoff: rollout.stage_hash_cutoff,
      target_cutoff: rollout.target_hash_cutoff,
      extra: devices,
      reason,
      now,
      ...targetValues(rollout.device_model, target),
    },
  );
  return row?.hash_cutoff ?? null;
}
