import * as z from 'zod';
import { anyJson, type RowOf, type Sql, select } from '../db/index.ts';
import { loadKnownIssues } from '../known-issues/index.ts';
import {
  boundedFilter,
  boundedJson,
  PLAN_BYTES,
  parseSteppingStones,
  parseTarget,
  TARGET_TYPES,
  type Target,
} from '../policy/index.ts';
import { runsRelease } from '../protocol/index.ts';
import { barsOf, hasKnownIssue, imageOf, imagesOf, STILL_TARGETED, targetValues } from '../targeting/index.ts';
import type { PendingUpdate } from '../updates/index.ts';
import { ID, type RolloutId, type UpdateId } from '../util/index.ts';

const TARGET_FILTER = boundedFilter('r');
const STEPPING_STONES = boundedJson('r.stepping_stones', PLAN_BYTES.steppingStones);

const rolloutColumns = z.strictObject({
  firmware_version: z.string(),
  device_model: z.string(),
  target_type: z.enum(TARGET_TYPES),
  target_filter: anyJson<unknown>(),
  rollout_percentage: z.int(),
  stepping_stones: anyJson<unknown>(),
});
type RolloutColumns = RowOf<typeof rolloutColumns>;

/**
 * Finds the pending updates of a rollout whose devices it no longer targets: since the assignment, the rollout's row
 * may have been edited, or a device may have moved to another group or stated that the image does not fit, or an
 * issue of the release may have become known. A row that cannot be parsed targets no device; the
 * orchestrator halts its rollout.
 * @returns the ids of those updates
 */
export async function findNoLongerTargeted(
  sql: Sql,
  rolloutId: RolloutId,
  updates: readonly PendingUpdate[],
): Promise<Set<UpdateId>> {
  const [rollout] = await select(
    sql,
    rolloutColumns,
    `SELECT r.firmware_version, r.device_model, r.target_type, ${TARGET_FILTER}, r.rollout_percentage,
       ${STEPPING_STONES} AS stepping_stones
     FROM rollout_configurations AS r WHERE r.id = :rollout`,
    { rollout: rolloutId },
  );
  if (rollout === undefined) return new Set();
  const parsed = parseTarget(rollout.target_type, rollout.target_filter, rollout.rollout_percentage);
  if (!parsed.ok) return new Set(updates.map(({ id }) => id));
  const targeted = await findTargeted(sql, rollout, parsed.value, updates);
  const steppingStones = parseSteppingStones(rollout.stepping_stones);
  const decided = steppingStones.ok ? (steppingStones.value ?? []) : [];
  const isStillSent = ({ is_stepping_stone, firmware_version }: PendingUpdate) =>
    is_stepping_stone ? decided.includes(firmware_version) : firmware_version === rollout.firmware_version;
  const isStillTargeted = (update: PendingUpdate) =>
    targeted.has(update.device_id) && isStillSent(update) && !hasLeftBadRelease(update, parsed.value);
  return new Set(updates.filter((update) => !isStillTargeted(update)).map(({ id }) => id));
}

/** A recovery sends no older version to a device that has come to run another one than the release it is to leave. */
function hasLeftBadRelease({ current_firmware_version: current, firmware_version }: PendingUpdate, target: Target) {
  if (target.recovers === null || runsRelease(current, firmware_version)) return false;
  return !(target.versions ?? []).some((version) => runsRelease(current, version));
}

const OF_PENDING = 'f.version IN (SELECT p.version FROM jsonb_to_recordset(:pending::jsonb) AS p(version text))';
const NOT_BARRED = Object.values(barsOf(imageOf(imagesOf(OF_PENDING), 'pending.version'))).join('\n       AND ');

async function findTargeted(
  sql: Sql,
  rollout: RolloutColumns,
  target: Target,
  updates: readonly PendingUpdate[],
): Promise<Set<string>> {
  const pendingVersions = updates.map(({ firmware_version: version }) => ({ version }));
  const rows = await select(
    sql,
    z.strictObject({ device_id: ID.device }), // Looks up each device by itself: in a young fleet, statistics may suggest that reading all devices is cheaper.
    `SELECT d.device_id FROM jsonb_to_recordset(:pending::jsonb) AS pending(device text, version text)
     CROSS JOIN LATERAL (SELECT * FROM devices WHERE device_id = pending.device OFFSET 0) AS d
     WHERE ${STILL_TARGETED} AND ${NOT_BARRED} AND NOT ${hasKnownIssue('pending.version')}`,
    {
      pending: updates.map(({ device_id: device, firmware_version: version }) => ({ device, version })),
      knownIssues: await loadKnownIssues(sql, rollout, target, pendingVersions),
      ...targetValues(rollout.device_model, target),
    },
  );
  return new Set(rows.map(({ device_id }) => device_id));
}
