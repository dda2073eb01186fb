import * as z from 'zod';
import { type Sql, select } from '../db/index.ts';
import { HELD_BY_NAME } from '../holds/index.ts';
import { loadKnownIssues } from '../known-issues/index.ts';
import { COVERED_VALUE_LENGTH, type Coverage, coveredNames, type Reach, type Target } from '../policy/index.ts';
import {
  barsOf,
  cutoffValues,
  HASH,
  hasKnownIssue,
  IN_SHARE,
  IN_STAGE,
  IS_TARGETED,
  imageOf,
  imagesOf,
  JOINED_LATER,
  targetValues,
} from '../targeting/index.ts';
import type { RolloutRuntime } from './rollout-runtime.ts';

/**
 * True if the image of the release contradicts what the device states, or a known issue keeps the device from it, so that the
 * stage cannot have its outcome.
 */
export const IS_BARRED = `(NOT (${Object.values(barsOf(imageOf(imagesOf('f.version = :goal'), ':goal'))).join('\n         AND ')})
         OR ${hasKnownIssue(':goal')})`;

/** In binary, 7% of 100 is slightly more than 7, and must not be rounded up to 8. */
export const shareOf = (devices: string) => `ceil(round((:share::double precision * ${devices})::numeric, 6))::integer`;

/**
 * The value that a device has of one of {@link coveredNames}, after `=`, or empty text if it has none.
 * @param version SQL for the version of the device
 */
export const coveredValue = (name: string, version: string): string =>
  `coalesce('=' || left(CASE WHEN ${name} = 'version' THEN ${version}
           WHEN starts_with(${name}, 'attributes.') THEN d.metadata ->> substr(${name}, 12)
           ELSE d.facts ->> substr(${name}, 7) END, ${COVERED_VALUE_LENGTH}), '')`;

/** The most devices that are chosen for their values. */
const MAX_COVERING = 500;
const EVERY_HASH = 'f'.repeat(32);
/** Values left out that are named, of each name. */
const LEFT_OUT = 5;

const coverageRow = z.strictObject({
  devices: z.array(z.string()),
  names: z.array(
    z.strictObject({
      name: z.string(),
      values: z.int(),
      covered: z.int(),
      is_unknown: z.boolean(),
      left_out: z.array(z.strictObject({ value: z.string(), devices: z.int(), is_reachable: z.boolean() })),
    }),
  ),
});

/** A member of the stages before may have been updated already. */
const VERSION_BEFORE = `CASE WHEN is_eligible THEN d.current_firmware_version ELSE (
           SELECT u.previous_version FROM device_update_status AS u WHERE u.device_id = d.device_id AND u.rollout_id = :rollout::bigint
           ORDER BY u.id DESC LIMIT 1) END`;

/**
 * For each value of a name its first device, in the order of the rollout. The text `first` sorts a device that is in the
 * stage already before one that is online, that before one that was heard of lately, and that before the others, which cover
 * nothing. A minimum of texts needs no sort of the fleet.
 */
const COVERAGE = `WITH targeted AS (
       SELECT d.device_id, ${JOINED_LATER} AS joined_later, is_member, is_eligible,
         ${[0, 1, 2].map((index) => `CASE WHEN :name${index}::text IS NOT NULL THEN ${coveredValue(`:name${index}::text`, VERSION_BEFORE)} END AS value${index}`).join(',\n         ')},
         CASE WHEN is_eligible AND NOT may_cover THEN '3' WHEN is_member THEN '0'
           WHEN d.online AND coalesce(presumed_offline_at(d.last_seen, d.report_interval_seconds) > :now::timestamptz, false) THEN '1'
           ELSE '2' END || ${HASH} || d.device_id AS place
       FROM devices AS d CROSS JOIN LATERAL (SELECT ${IN_STAGE} AS is_member,
         d.current_firmware_version IN (SELECT jsonb_array_elements_text(:eligible::jsonb)) AS is_eligible,
         coalesce(d.last_seen >= :now::timestamptz - interval '24 hours', false)
           AND d.device_id NOT IN (${HELD_BY_NAME}) AND NOT ${IS_BARRED} AS may_cover) AS known
       WHERE ${IS_TARGETED} AND ${IN_SHARE}
     ), size AS (
       SELECT greatest(CASE WHEN :count::integer IS NULL THEN greatest(${shareOf('count(*) FILTER (WHERE NOT joined_later)')}, 1)
         ELSE :count::integer - count(*) FILTER (WHERE is_member) END, 0) AS devices FROM targeted
     ), valued AS (
       SELECT device_id, place, n.name, n.value FROM targeted
       CROSS JOIN LATERAL (VALUES (0, value0), (1, value1), (2, value2)) AS n(name, value)
       WHERE n.value IS NOT NULL AND (is_eligible OR is_member)
     ), counted AS MATERIALIZED (
       SELECT name, value, count(*)::integer AS devices, min(place COLLATE "C") AS first FROM valued GROUP BY name, value
     ), picked AS MATERIALIZED (
       SELECT substr(first, 34) AS device_id FROM counted WHERE left(first, 1) IN ('1', '2') GROUP BY first
       ORDER BY max(devices) DESC, first LIMIT least((SELECT devices FROM size), ${MAX_COVERING})
     ), covered AS MATERIALIZED (
       SELECT name, value FROM counted WHERE left(first, 1) = '0'
       UNION SELECT name, value FROM valued WHERE device_id IN (SELECT device_id FROM picked)
     ), ranked AS (
       SELECT c.name, c.value, c.devices, left(c.first, 1) <> '3' AS is_reachable, covered.value IS NOT NULL AS is_covered,
         row_number() OVER (PARTITION BY c.name, covered.value IS NULL ORDER BY c.devices DESC, c.value) AS place
       FROM counted AS c LEFT JOIN covered ON covered.name = c.name AND covered.value = c.value
     ), named AS (
       SELECT name, count(*) AS values, count(*) FILTER (WHERE is_covered) AS covered, bool_and(value = '') AS is_unknown,
         coalesce(jsonb_agg(jsonb_build_object('value', value, 'devices', devices, 'is_reachable', is_reachable) ORDER BY place)
           FILTER (WHERE NOT is_covered AND place <= ${LEFT_OUT}), '[]') AS left_out
       FROM ranked GROUP BY name
     )
     SELECT (SELECT coalesce(jsonb_agg(device_id), '[]') FROM picked) AS devices,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('name', CASE name WHEN 0 THEN :name0::text WHEN 1 THEN :name1::text ELSE :name2::text END,
         'values', values, 'covered', covered, 'is_unknown', is_unknown, 'left_out', left_out) ORDER BY name), '[]') FROM named) AS names`;

/** A rollout by what decides which devices its first stage takes before others. */
export type CoveringRollout = Pick<
  RolloutRuntime,
  | 'id'
  | 'firmware_version'
  | 'device_model'
  | 'rollout_percentage'
  | 'first_stage_covers'
  | 'target_hash_cutoff'
  | 'member_percentage'
  | 'counted_at'
  | 'stage_hash_cutoff'
  | 'stage_later_cutoff'
>;

/**
 * The devices that the first stage of a rollout takes before others, so that it has one for each value of the names in
 * `first_stage_covers`, and how it covers them. A device covers its values if it can be updated, as far as its version, the
 * image, known issues and holds say, and was heard of in the last 24 hours. If the stage has too few devices, the values
 * that most devices have are covered.
 * @param reach of that stage
 * @param eligibleVersions from which the rollout may update devices
 */
export async function loadCoverage(
  sql: Sql,
  rollout: CoveringRollout,
  target: Target,
  reach: Exclude<Reach, { readonly group: string }>,
  eligibleVersions: readonly string[],
  now: Date,
): Promise<{ readonly devices: readonly string[]; readonly names: readonly Coverage[] }> {
  const covers = coveredNames.safeParse(rollout.first_stage_covers);
  if (!covers.success) return { devices: [], names: [] };
  const [name0 = null, name1 = null, name2 = null] = covers.data;
  const [row] = await select(sql, coverageRow, COVERAGE, {
    ...{ name0, name1, name2 },
    rollout: rollout.id,
    share: 'share' in reach ? reach.share : null,
    count: 'count' in reach ? reach.count : null,
    eligible: eligibleVersions,
    goal: rollout.firmware_version,
    knownIssues: await loadKnownIssues(sql, rollout, target),
    now,
    ...cutoffValues(rollout),
    ...(rollout.target_hash_cutoff === null ? await cutoffsBeforeCount(sql, rollout, target) : {}),
    ...targetValues(rollout.device_model, target),
  });
  if (row === undefined) throw new Error('a statement without FROM has one row');
  return {
    devices: row.devices,
    names: row.names.map(({ left_out, is_unknown: isUnknown, ...counts }) => ({
      ...counts,
      isUnknown,
      leftOut: left_out.map(({ value, devices, is_reachable: isReachable }) => ({
        value: value === '' ? null : value.slice(1),
        devices,
        isReachable,
      })),
    })),
  };
}

/** The cutoff of the targets that `countTargets` would fix now. */
async function cutoffsBeforeCount(sql: Sql, rollout: CoveringRollout, target: Target) {
  const { id, rollout_percentage: percentage, device_model: model } = rollout;
  const [row] =
    percentage === 100
      ? []
      : await select(
          sql,
          z.strictObject({ hash: z.string() }),
          `WITH targeted AS (SELECT ${HASH} AS hash FROM devices AS d WHERE ${IS_TARGETED})
           SELECT hash FROM targeted ORDER BY hash
           OFFSET (SELECT greatest(ceil(:percentage * count(*) / 100.0), 1)::bigint - 1 FROM targeted) LIMIT 1`,
          { rollout: id, percentage, ...targetValues(model, target) },
        );
  const cutoff = row?.hash ?? EVERY_HASH;
  return { targetCutoff: cutoff, laterTargetCutoff: cutoff };
}
