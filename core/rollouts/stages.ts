import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { loadKnownIssues } from '../known-issues/index.ts';
import { coveringStage, cutoffOfShare, parsePlan, type Reach, type Target } from '../policy/index.ts';
import {
  cutoffValues,
  HASH,
  IN_SHARE,
  IN_STAGE,
  IS_TARGETED,
  JOINED_LATER,
  laterTargetCutoff,
  targetValues,
} from '../targeting/index.ts';
import { IS_BARRED, loadCoverage, shareOf } from './coverage.ts';
import type { RolloutRuntime } from './rollout-runtime.ts';

/** Who last let the rollout `started` run: created it as active, started its draft, approved or resumed it; null: SQL. */
const STARTED_BY = `(SELECT e.payload ->> 'by' FROM ota_events AS e
           WHERE e.rollout_id = started.rollout_id AND e.device_id IS NULL AND (
             e.event_type = 'rollout_created' AND e.payload -> 'draft' IS NULL
             OR e.event_type = 'rollout_changed' AND e.payload #> '{changes,is_active}' = 'true'
             OR e.event_type IN ('rollout_approved', 'rollout_resumed'))
           ORDER BY e.id DESC LIMIT 1)`;

/**
 * How a stage starts: with the devices that it reaches, or as a wave of a slow start with the number of devices that
 * may start.
 */
export type StageStart = { readonly reach: Reach } | { readonly waveSize: number | null };

/** The first wave of a slow start has this share of the targeted devices. */
const FIRST_WAVE_SHARE = 0.01;

const IS_COVERING = 'd.device_id IN (SELECT jsonb_array_elements_text(:covering::jsonb))';

const isInGroup = (device: string) =>
  `EXISTS (SELECT FROM device_groups AS g WHERE g.device_id = ${device}.device_id AND g.group_name = :group)`;

const begunStage = z.strictObject({
  hash_cutoff: z.string(),
  later_cutoff: z.string(),
  size: z.int(),
  sample: z.int().nullable(),
});

/** A stage that has begun. */
export type BegunStage = RowOf<typeof begunStage>;

/**
 * Starts a stage: fixes the devices that it reaches and allows them to be assigned. A share reaches the first
 * ceil(share × targets) in the order of their hashes, at least one, and each device that registered after the targets
 * were counted with that probability. A count reaches as many devices by name, and none that registers later; so does a
 * group, whose members are those that it has now. A null `waveSize` is the first wave of a slow start. Does nothing if the stage has already started.
 * The first stage that is not of a group takes the devices that cover the names of `first_stage_covers` before others.
 * @param eligibleVersions from which the rollout may update devices
 * @returns the cutoffs, size and sample now in force; undefined if the rollout changed meanwhile
 */
export async function beginStage(
  sql: Sql,
  rollout: RolloutRuntime,
  target: Target,
  stage: number,
  start: StageStart,
  eligibleVersions: readonly string[],
  now: Date,
): Promise<BegunStage | undefined> {
  const isSlowStart = 'waveSize' in start;
  const reach = isSlowStart ? { share: FIRST_WAVE_SHARE } : start.reach;
  const covering = await pickCovering(sql, rollout, target, stage, eligibleVersions, now);
  const [row] = await select(
    sql,
    begunStage,
    `WITH fence AS (
       SELECT rollout_id, start_limit FROM rollout_runtime
       WHERE rollout_id = :rollout AND generation = :generation AND NOT is_stopped FOR UPDATE
     ), targeted AS NOT MATERIALIZED (
       SELECT d.device_id, ${HASH} AS hash, d.current_firmware_version AS version, ${JOINED_LATER} AS joined_later,
         ${IN_STAGE} AS is_member, ${IS_BARRED} AS is_barred, ${IS_COVERING} AS is_covering
       FROM devices AS d WHERE ${IS_TARGETED} AND ${IN_SHARE}
     ), counted AS (
       SELECT count(*)::integer AS targeted, (count(*) FILTER (WHERE NOT joined_later))::integer AS counted,
         (count(*) FILTER (WHERE is_member))::integer AS members, (count(*) FILTER (WHERE is_covering))::integer AS covering
       FROM targeted
     ), next AS (
       SELECT device_id FROM targeted
       WHERE NOT is_member AND :byName::boolean AND (:group::text IS NULL OR ${isInGroup('targeted')})
       ORDER BY is_covering DESC, joined_later, hash
       LIMIT CASE WHEN :group::text IS NULL THEN (SELECT greatest(:count::integer - members, 0) FROM counted) END
     ), named AS MATERIALIZED (
       -- A count is closed to devices that register later, so that it names those which an earlier share took in.
       SELECT device_id FROM next
       UNION ALL SELECT device_id FROM targeted WHERE is_member AND joined_later AND :byName::boolean
       UNION ALL SELECT device_id FROM targeted WHERE :covering::jsonb <> '[]' AND is_covering AND NOT is_member AND NOT :byName::boolean
     ), before AS (
       SELECT coalesce(max(hash_cutoff), '') AS hash_cutoff, coalesce(max(later_cutoff), '') AS later_cutoff
       FROM rollout_stages WHERE rollout_id = :rollout
     ), cutoff AS (
       SELECT CASE
           WHEN :slow::boolean OR :share::double precision = 1 THEN :targetCutoff
           WHEN :byName::boolean THEN before.hash_cutoff
           -- If no device is counted, the stage reaches none: an empty text sorts before every hash.
           ELSE greatest((SELECT hash FROM targeted WHERE NOT joined_later AND NOT is_covering ORDER BY hash
             OFFSET (SELECT greatest(${shareOf('counted')} - covering, 1) - 1 FROM counted)
             LIMIT (SELECT least(greatest(${shareOf('counted')}, 1) - covering, 1) FROM counted)), before.hash_cutoff) END AS hash_cutoff,
         CASE
           WHEN :slow::boolean OR :share::double precision = 1 THEN :laterTargetCutoff
           WHEN :byName::boolean THEN ''
           ELSE greatest(:laterShare, before.later_cutoff) END AS later_cutoff
       FROM before
     ), reached AS (
       SELECT count(*)::integer AS devices, (count(*) FILTER (
         WHERE NOT is_member AND NOT is_barred AND version IN (SELECT jsonb_array_elements_text(:eligible::jsonb))))::integer AS sample
       FROM targeted, cutoff
       WHERE NOT :slow::boolean AND (is_member OR device_id IN (SELECT device_id FROM named)
         OR hash <= CASE WHEN joined_later THEN cutoff.later_cutoff ELSE cutoff.hash_cutoff END)
     ), started AS (
       INSERT INTO rollout_stages
         (rollout_id, stage, hash_cutoff, later_cutoff, target_count, sample_count, start_quota, began_at)
       SELECT fence.rollout_id, :stage, cutoff.hash_cutoff, cutoff.later_cutoff,
         CASE WHEN NOT :slow::boolean THEN greatest(reached.devices, CASE WHEN :group::text IS NULL THEN 1 ELSE 0 END) END,
         CASE WHEN NOT :slow::boolean THEN reached.sample END,
         CASE WHEN :slow::boolean THEN greatest(coalesce(:waveSize::integer, ${shareOf('counted.targeted')}), 1) END,
         :now::timestamptz
       FROM fence, counted, reached, cutoff
       ON CONFLICT DO NOTHING
       RETURNING rollout_id, stage, hash_cutoff, later_cutoff, coalesce(start_quota, target_count) AS size, sample_count AS sample
     ), members AS (
       INSERT INTO rollout_members (rollout_id, device_id) SELECT started.rollout_id, named.device_id FROM started, named
       ON CONFLICT DO NOTHING
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
         jsonb_strip_nulls(jsonb_build_object('stage', stage, 'devices', started.size, 'targeted', targeted,
           'by', CASE WHEN stage = 0 THEN coalesce(${STARTED_BY}, 'SQL') END)),
         md5(rollout_id || ' stage ' || stage || ' ' || :generation)
       FROM started, counted
       ON CONFLICT DO NOTHING
     )
     SELECT hash_cutoff, later_cutoff, size, sample FROM started`,
    {
      rollout: rollout.id,
      generation: rollout.generation,
      stage,
      slow: isSlowStart,
      waveSize: isSlowStart ? start.waveSize : null,
      share: 'share' in reach ? reach.share : null,
      count: 'count' in reach ? reach.count : null,
      group: 'group' in reach ? reach.group : null,
      byName: !('share' in reach),
      laterShare: 'share' in reach ? laterShareOf(rollout, reach.share) : '',
      eligible: eligibleVersions,
      covering,
      goal: rollout.firmware_version,
      knownIssues: await loadKnownIssues(sql, rollout, target),
      now,
      ...cutoffValues(rollout),
      ...targetValues(rollout.device_model, target),
    },
  );
  return row;
}

/** The devices that the stage takes before others, because they cover the names of `first_stage_covers`. */
async function pickCovering(
  sql: Sql,
  rollout: RolloutRuntime,
  target: Target,
  stage: number,
  eligibleVersions: readonly string[],
  now: Date,
): Promise<readonly string[]> {
  const plan = parsePlan(rollout);
  const first = plan.ok ? coveringStage(plan.value.stages) : undefined;
  if (first?.index !== stage) return [];
  return (await loadCoverage(sql, rollout, target, first.reach, eligibleVersions, now)).devices;
}

/** The cutoff of a stage for devices that joined later: a share of the percentage. */
const laterShareOf = (rollout: RolloutRuntime, share: number): string =>
  rollout.member_percentage === null
    ? laterTargetCutoff(rollout)
    : cutoffOfShare((share * rollout.member_percentage) / 100);

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
  const [row] = await select(
    sql,
    z.strictObject({ start_limit: z.int() }),
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
 * Gives the present stage more devices by name, the next in order: it is repeated after a halt, or members that give no
 * outcome are replaced. Devices that the image does not fit, or that a known issue keeps from it, come last, before them those that registered after the
 * targets were counted.
 * @param group of the stage, from which alone it takes devices; null: it has none
 * @returns undefined if the rollout changed meanwhile
 */
export async function extendStage(
  sql: Sql,
  rollout: RolloutRuntime,
  target: Target,
  devices: number,
  group: string | null,
  reason: string,
  now: Date,
): Promise<{ readonly stage_is_exhausted: boolean } | undefined> {
  const [row] = await select(
    sql,
    z.strictObject({ stage_is_exhausted: z.boolean() }),
    `WITH next AS MATERIALIZED (
       SELECT d.device_id FROM devices AS d WHERE ${IS_TARGETED} AND ${IN_SHARE} AND NOT ${IN_STAGE}
         AND (:group::text IS NULL OR ${isInGroup('d')})
       ORDER BY ${IS_BARRED}, ${JOINED_LATER}, ${HASH} LIMIT :extra::integer
     ), extended AS (
       UPDATE rollout_stages AS s SET is_exhausted = :group::text IS NULL AND (SELECT count(*) FROM next) < :extra::integer,
         extended_at = :now::timestamptz, must_repeat = false, gate_held_since = NULL
       FROM rollout_runtime AS p
       WHERE s.rollout_id = :rollout AND p.rollout_id = s.rollout_id AND s.stage = p.stage
         AND p.generation = :generation AND NOT p.is_stopped
       RETURNING s.rollout_id, s.stage, s.is_exhausted
     ), members AS (
       INSERT INTO rollout_members (rollout_id, device_id) SELECT extended.rollout_id, next.device_id FROM extended, next
       ON CONFLICT DO NOTHING
     ), event AS (
       INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
       SELECT rollout_id, 'rollout_stage_extended', :now::timestamptz,
         jsonb_build_object('stage', stage, 'devices', (SELECT count(*) FROM next), 'reason', :reason::text),
         md5(rollout_id || ' extended ' || :now::timestamptz)
       FROM extended ON CONFLICT DO NOTHING
     )
     SELECT is_exhausted AS stage_is_exhausted FROM extended`,
    {
      rollout: rollout.id,
      generation: rollout.generation,
      extra: devices,
      goal: rollout.firmware_version,
      knownIssues: await loadKnownIssues(sql, rollout, target),
      group,
      reason,
      now,
      ...cutoffValues(rollout),
      ...targetValues(rollout.device_model, target),
    },
  );
  return row;
}
