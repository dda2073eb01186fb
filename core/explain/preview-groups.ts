import * as z from 'zod';
import {
  BLOCKED_BY_HIGHER_PRIORITY,
  BY_RELEASE_MAP,
  BY_STORED_CUTOFF,
  FAILED_BEFORE,
  firstFailed,
  HAS_OPEN_UPDATE,
  IMAGE_BY_RELEASE_MAP,
  RULES,
} from '../assignment/index.ts';
import { type RowOf, readInPages, type Sql, select } from '../db/index.ts';
import { heldBy, holdsOf, isHeld } from '../holds/index.ts';
import { cutoffOfShare, FAILED_LIST, imageLimits, type Stage, type Target } from '../policy/index.ts';
import { COMMAND_FAMILIES } from '../protocol/index.ts';
import {
  cutoffValues,
  HASH,
  type HigherPriorityRollout,
  IS_TARGETED,
  JOINED_LATER,
  KEEPER,
  type KnownIssue,
  knownIssuesOf,
  MATCHES_FILTER,
  statedOfBar,
  targetValues,
} from '../targeting/index.ts';
import { CHANGED_TABLES, changeValues, type DeviceChange } from './device-change.ts';
import type { PreviewedRollout } from './previewed-rollout.ts';

const previewGroup = z.strictObject({
  version: z.string(),
  id_length: z.int(),
  family: z.enum(COMMAND_FAMILIES).nullable(),
  /** The first rule that keeps the devices from being assigned; null if none does. */
  rule: z.enum(RULES).nullable(),
  /** The rollout of rule `blocked` or `kept`. */
  by_rollout: z.string().nullable(),
  /** The holds in force that hold the devices, the widest first. */
  holds: z.array(heldBy),
  /** The rollout of the devices' open update, and whether a command of that update was sent. */
  holder: z.string().nullable(),
  is_under_way: z.boolean().nullable(),
  /** True if the devices failed in their last rollout, which others finished. */
  failed_before: z.boolean(),
  /** The stage that includes the devices, from 0; null if the percentage leaves them out or the rollout is not saved. */
  stage: z.int().nullable(),
  /** The known issues of rule `known issue`, by their ids. */
  issues: z.array(z.int()),
  devices: z.int(),
  /** The limits of the image that the devices would be sent; null if there is none. */
  image: imageLimits.nullable(),
  /** The least and the most that the devices state, if `rule` is that the image contradicts it. */
  least: z.number().nullable(),
  most: z.number().nullable(),
});

/** Devices that match the filter and are alike in everything that the preview tells apart. */
export type PreviewGroup = RowOf<typeof previewGroup>;

/** The stages that have yet to begin. */
const PLANNED = `jsonb_to_recordset(:stages::jsonb) AS s(stage integer, share double precision, count integer, "group" text, later text)`;

/**
 * The stage of each device of a saved rollout. Members of the present stage stay in it; each later stage takes the next
 * in order, as `beginStage` does. It is materialized because PostgreSQL, before it has analyzed the tables, expects few
 * devices and would order the fleet again for each of them.
 */
const STAGED = `targeted AS (
       SELECT d.device_id, ${HASH} AS hash, ${JOINED_LATER} AS joined_later,
         d.device_id IN (SELECT jsonb_array_elements_text(:covering::jsonb)) AS is_covering,
         :hasCutoff::boolean AND ${BY_STORED_CUTOFF.share} AS is_member, :hasBegun::boolean AND ${BY_STORED_CUTOFF.stage} AS is_in_stage,
         CASE WHEN :hasGroups::boolean THEN (SELECT min(s.stage) FROM ${PLANNED} JOIN device_groups AS g ON g.group_name = s."group"
           WHERE g.device_id = d.device_id) END AS stage_of_group
       FROM devices AS d WHERE ${IS_TARGETED}
     ), shared AS (
       SELECT *, is_member OR NOT :isFixed::boolean AND CASE WHEN joined_later THEN hash <= :laterPercentage
         ELSE row_number() OVER (PARTITION BY joined_later ORDER BY is_member DESC, hash)
           <= greatest(ceil(:percentage::integer * count(*) OVER (PARTITION BY joined_later) / 100.0), 1) END AS takes_part
       FROM targeted
     ), placed AS (
       SELECT *, row_number() OVER (PARTITION BY takes_part ORDER BY is_in_stage DESC, stage_of_group IS NULL, is_covering DESC, joined_later, hash) AS place,
         row_number() OVER (PARTITION BY takes_part, joined_later ORDER BY hash) AS place_in_share,
         row_number() OVER (PARTITION BY takes_part, joined_later, is_covering ORDER BY hash) AS place_beside,
         count(*) FILTER (WHERE takes_part AND is_covering) OVER () AS covering,
         count(*) FILTER (WHERE takes_part AND NOT joined_later) OVER () AS counted
       FROM shared
     ), staged AS MATERIALIZED (
       SELECT device_id, CASE WHEN is_in_stage THEN :stage::integer ELSE (
         SELECT min(s.stage) FROM ${PLANNED}
         WHERE CASE WHEN s."group" IS NOT NULL THEN s.stage = stage_of_group WHEN s.count IS NOT NULL THEN place <= s.count
           WHEN joined_later OR s.share = 1 THEN s.share = 1 OR hash <= s.later
           WHEN s.stage = :coveringStage::integer AND covering > 0
             THEN is_covering OR place_beside <= greatest(1, ceil(round((s.share * counted)::numeric, 6))) - covering
           ELSE place_in_share <= greatest(1, ceil(round((s.share * counted)::numeric, 6))) END) END AS stage
       FROM placed WHERE takes_part
     )`;

/** A rollout that is not saved has no order of its devices yet: who takes part, and in which stage, is not known. */
const NOT_STAGED = 'staged AS (SELECT NULL::text AS device_id, NULL::integer AS stage WHERE false)';

/** A response of the Data API holds a thousand groups, even with the longest names. */
const GROUPS_PER_PAGE = 1_000;

const COLUMNS = '1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11';

/** Starts from the failed updates of the model, which are few: a look at the updates of each device would take long. */
const FAILED = `failed AS MATERIALIZED (
       SELECT DISTINCT d.device_id FROM rollout_configurations AS f
       JOIN device_update_status AS u ON u.rollout_id = f.id AND u.status IN ${FAILED_LIST}
       JOIN devices AS d ON d.device_id = u.device_id
       WHERE f.device_model = :model AND f.completed_at IS NOT NULL AND ${FAILED_BEFORE}
     )`;

interface GroupsSql {
  /** Common table expressions before the statement; they name `staged` and `failed`. */
  readonly tables: string;
  /** True if `rollout_percentage` includes the device. */
  readonly share: string;
  /** Which of the devices are counted. */
  readonly where: string;
}

const groupsStatement = ({ tables, share, where }: GroupsSql) => `WITH ${tables}
     SELECT d.current_firmware_version AS version, length(d.device_id) AS id_length, d.command_family AS family, d.rule,
       CASE d.rule
         WHEN 'blocked' THEN (SELECT w.name FROM device_update_status AS u JOIN rollout_configurations AS w ON w.id = u.rollout_id
           WHERE u.device_id = d.device_id AND ${BLOCKED_BY_HIGHER_PRIORITY} ORDER BY u.id DESC LIMIT 1)
         WHEN 'kept' THEN (SELECT w.name FROM rollout_configurations AS w WHERE w.id = ${KEEPER}) END AS by_rollout,
       CASE WHEN ${isHeld('d.device_id')} THEN ${holdsOf('d.device_id')} ELSE '[]' END AS holds, o.name AS holder, u.status <> 'pending' OR u.attempt > 0 AS is_under_way,
       d.device_id IN (SELECT device_id FROM failed) AS failed_before, d.stage,
       CASE WHEN d.rule = 'known issue' THEN ${knownIssuesOf(BY_RELEASE_MAP.version)} ELSE '[]' END AS issues, count(*)::integer AS devices,
       ${IMAGE_BY_RELEASE_MAP} AS image, min(${statedOfBar('d.rule')}) AS least, max(${statedOfBar('d.rule')}) AS most
     FROM (
       SELECT d.*, staged.stage, ${firstFailed(
         { ...BY_RELEASE_MAP, share, stage: 'true' },
         'held',
         'busy',
         'stage',
       )} AS rule
       FROM devices AS d LEFT JOIN staged ON staged.device_id = d.device_id WHERE ${MATCHES_FILTER} AND ${where}
     ) AS d
     LEFT JOIN device_update_status AS u ON u.device_id = d.device_id AND u.rollout_id <> :rollout::bigint AND ${HAS_OPEN_UPDATE}
     LEFT JOIN rollout_configurations AS o ON o.id = u.rollout_id
     GROUP BY ${COLUMNS} ORDER BY ${COLUMNS} LIMIT :limit OFFSET :offset`;

const OF_SAVED = groupsStatement({
  tables: `${STAGED}, ${FAILED}`,
  share: 'staged.device_id IS NOT NULL',
  where: 'true',
});
const OF_DRAFT = groupsStatement({ tables: `${NOT_STAGED}, ${FAILED}`, share: 'true', where: 'true' });

/** Some devices of a saved rollout. Their stages and what they failed in before are left out: each would read the fleet. */
const SOME: GroupsSql = {
  tables: `${NOT_STAGED}, failed AS (SELECT NULL::text AS device_id WHERE false)`,
  share: BY_STORED_CUTOFF.share,
  where: 'd.device_id IN (SELECT jsonb_array_elements_text(:only::jsonb))',
};
const OF_SOME = groupsStatement(SOME);
const OF_CHANGED = groupsStatement({ ...SOME, tables: `${CHANGED_TABLES}, ${SOME.tables}` });

const EVERY_HASH = 'f'.repeat(32);

/** What a rollout sends. */
interface Sent {
  /** The release that each version is updated to. */
  readonly releases: Readonly<Record<string, string>>;
  readonly knownIssues: readonly KnownIssue[];
}

/** The given devices of a saved rollout, as they are or, with `isChanged`, as they would be after the change. */
export async function loadGroupsOfSome(
  sql: Sql,
  rollout: PreviewedRollout,
  target: Target,
  higherPriority: readonly HigherPriorityRollout[],
  { releases, knownIssues }: Sent,
  change: DeviceChange,
  isChanged: boolean,
): Promise<PreviewGroup[]> {
  const values = {
    rollout: rollout.id,
    priority: rollout.priority,
    higherPriority,
    releases,
    knownIssues,
    only: change.deviceIds,
    ...targetValues(rollout.device_model, target),
    // Until the targets are counted, each device may be among them.
    ...cutoffValues(rollout, EVERY_HASH),
  };
  return readInPages(
    (page) =>
      isChanged
        ? select(sql, previewGroup, OF_CHANGED, { ...values, ...changeValues(change), ...page })
        : select(sql, previewGroup, OF_SOME, { ...values, ...page }),
    GROUPS_PER_PAGE,
  );
}

/** The devices that match the filter of a rollout, by the rules of assignment. */
export async function loadPreviewGroups(
  sql: Sql,
  rollout: PreviewedRollout,
  target: Target,
  stages: readonly Stage[] | null,
  higherPriority: readonly HigherPriorityRollout[],
  { releases, knownIssues }: Sent,
  covering: { readonly devices: readonly string[]; readonly stage: number },
): Promise<PreviewGroup[]> {
  const { target_hash_cutoff, stage_hash_cutoff, rollout_percentage: percentage, member_percentage } = rollout;
  const hasBegun = stage_hash_cutoff !== null;
  const later = (stages ?? [{ reach: { share: 1 } }]).map(({ reach }, stage) => ({
    stage,
    ...reach,
    later: 'share' in reach ? cutoffOfShare((reach.share * percentage) / 100) : '',
  }));
  const ofSaved = {
    hasCutoff: target_hash_cutoff !== null,
    hasBegun,
    isFixed: target_hash_cutoff !== null && percentage <= (member_percentage ?? 0),
    percentage,
    laterPercentage: cutoffOfShare(percentage / 100),
    ...cutoffValues(rollout),
    stage: stages === null ? 0 : Math.min(rollout.stage, later.length - 1),
    covering: covering.devices,
    coveringStage: covering.stage,
    // A slow start has more waves than stages; the last stage takes whatever is left.
    hasGroups: later.some((stage) => 'group' in stage),
    stages: hasBegun ? later.slice(-Math.max(1, later.length - rollout.stage - 1)) : later,
  };
  const values = {
    rollout: rollout.id,
    priority: rollout.priority,
    higherPriority,
    releases,
    knownIssues,
    ...targetValues(rollout.device_model, target),
    ...(rollout.isSaved ? ofSaved : {}),
  };
  return readInPages(
    (page) =>
      rollout.isSaved
        ? select(sql, previewGroup, OF_SAVED, { ...values, ...page })
        : select(sql, previewGroup, OF_DRAFT, { ...values, ...page }),
    GROUPS_PER_PAGE,
  );
}

/** Targeted devices that the stages of groups of a draft add, by stage. */
export async function countInGroups(
  sql: Sql,
  model: string,
  target: Target,
  stages: readonly Stage[] | null,
): Promise<Map<number, number>> {
  const groups = (stages ?? []).flatMap(({ reach }, stage) =>
    'group' in reach ? [{ stage, group: reach.group }] : [],
  );
  if (groups.length === 0) return new Map();
  const rows = await select(
    sql,
    z.strictObject({ stage: z.int(), devices: z.int() }),
    `SELECT stage, count(*)::integer AS devices FROM (
       SELECT min(s.stage) AS stage FROM jsonb_to_recordset(:stageGroups::jsonb) AS s(stage integer, "group" text)
       JOIN device_groups AS g ON g.group_name = s."group" JOIN devices AS d ON d.device_id = g.device_id
       WHERE ${IS_TARGETED} GROUP BY d.device_id) AS named
     GROUP BY stage`,
    { stageGroups: groups, rollout: null, ...targetValues(model, target) },
  );
  return new Map(rows.map(({ stage, devices }) => [stage, devices]));
}
