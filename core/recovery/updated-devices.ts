import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { isHeld } from '../holds/index.ts';
import type { EarlierRelease } from '../policy/index.ts';
import type { TrustRule } from '../release-policy/index.ts';
import { ID, type RolloutId } from '../util/index.ts';

export const badRollout = z.strictObject({
  rollout_id: ID.rollout,
  name: z.string(),
  firmware_version: z.string(),
  device_model: z.string(),
});

/** The rollout whose devices are sent back. */
export type BadRollout = RowOf<typeof badRollout>;

/**
 * The updates `b` by which the rollout sent its version to devices `d`: the one of each device that counts. A stepping
 * stone is another version, so that a device which only passed one is left alone.
 */
export const UPDATED_BY_ROLLOUT = `device_update_status AS b JOIN devices AS d ON d.device_id = b.device_id
     WHERE b.rollout_id = :rollout AND NOT b.is_replaced AND b.firmware_version = :bad_version AND b.sends > 0
       AND d.device_model = :model`;

/** True if the device went silent in the update `b`, and has reported no version since. */
export const IS_SILENT = `(b.completed_at IS NOT NULL AND b.cause IS NOT DISTINCT FROM 'silence'
         AND coalesce(d.version_received_at, '-infinity') <= b.completed_at)`;

export const updatedValues = ({ rollout_id, firmware_version, device_model }: BadRollout) => ({
  rollout: rollout_id,
  bad_version: firmware_version,
  model: device_model,
});

const updatedGroup = z.strictObject({
  version: z.string(),
  previous_version: z.string().nullable(),
  is_silent: z.boolean(),
  is_under_way: z.boolean(),
  is_revoked: z.boolean(),
  is_changed: z.boolean(),
  is_recovering: z.boolean(),
  held_by: z.string().nullable(),
  devices: z.int(),
  /** Those of them that a hold keeps from being sent anything. */
  held: z.int(),
  device_ids: z.array(z.string()),
  /** Devices of all groups, also of those beyond the limit. */
  total: z.int(),
});

/** A group of devices, with some of their ids. */
export type UpdatedGroup = RowOf<typeof updatedGroup>;

/** Ids that a group has at most; an answer of the Data API holds 1 MiB. */
export const NAMED_DEVICES = 50;
const GROUPS = 300;

/**
 * The devices that a rollout sent its version to, in groups of those that are alike.
 * @param recoveries ids of the recoveries of this rollout that have not ended
 */
export function loadUpdatedGroups(
  sql: Sql,
  rollout: BadRollout,
  recoveries: readonly RolloutId[],
): Promise<UpdatedGroup[]> {
  return select(
    sql,
    updatedGroup,
    `SELECT version, previous_version, is_silent, is_under_way, is_revoked, is_changed, is_recovering, held_by,
       count(*)::integer AS devices, (count(*) FILTER (WHERE is_held))::integer AS held, to_jsonb((array_agg(device_id ORDER BY device_id))[1:${NAMED_DEVICES}]) AS device_ids,
       (sum(count(*)) OVER ())::integer AS total
     FROM (
       SELECT d.device_id, ${isHeld('d.device_id')} AS is_held, d.current_firmware_version AS version, b.previous_version, ${IS_SILENT} AS is_silent,
         b.completed_at IS NULL AND b.booted_at IS NULL
           AND b.status IN ('downloading', 'downloaded', 'installing', 'success') AS is_under_way,
         d.revoked_at IS NOT NULL AS is_revoked, d.identity_changed_at IS NOT NULL AS is_changed,
         EXISTS (SELECT FROM device_update_status AS u WHERE u.device_id = d.device_id AND NOT u.is_replaced
           AND u.rollout_id IN (SELECT jsonb_array_elements_text(:recoveries::jsonb)::bigint) OFFSET 0) AS is_recovering,
         (SELECT o.name FROM device_update_status AS u JOIN rollout_configurations AS o ON o.id = u.rollout_id
          WHERE u.device_id = d.device_id AND u.completed_at IS NULL AND u.rollout_id <> :rollout
            AND (u.status <> 'pending' OR u.attempt > 0) LIMIT 1) AS held_by
       FROM ${UPDATED_BY_ROLLOUT}
     ) AS updated
     GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY devices DESC LIMIT ${GROUPS}`,
    { ...updatedValues(rollout), recoveries },
  );
}

const earlierRelease = z.strictObject({
  signing_key: z.string().nullable(),
  signature_expires_at: z.date().nullable(),
  id: ID.release,
  version: z.string(),
  min_version: z.string().nullable(),
  revoked_reason: z.string().nullable(),
  secure_version: z.int(),
});

/** The releases of a model that have one of these versions, however they are spelled; revoked ones are included. */
export async function loadEarlierReleases(
  sql: Sql,
  model: string,
  versions: readonly string[],
  trust: TrustRule,
  now: Date,
): Promise<EarlierRelease[]> {
  const rows = await select(
    sql,
    earlierRelease,
    `SELECT id, version, min_version, signing_key, signature_expires_at, CASE WHEN revoked_at IS NOT NULL THEN coalesce(revoked_reason, '') END AS revoked_reason,
       coalesce((image #>> '{descriptor,secureVersion}')::bigint, 0) AS secure_version
     FROM firmware_releases
     WHERE device_model = :model AND version IN (SELECT jsonb_array_elements_text(:versions::jsonb)) ORDER BY id DESC`,
    { model, versions: versions.flatMap(spellings) },
  );
  return rows.map(({ signing_key, signature_expires_at, ...release }) => ({
    ...release,
    distrust: trust.whyDistrusted(model, { signing_key, signature_expires_at }, now),
  }));
}

/** How a release of a reported version may be named: with or without a leading `v` and build metadata. */
export function spellings(version: string): string[] {
  const plain = version.replace(/^v(?=\d)/i, '');
  const names = [plain, plain.split('+', 1)[0] ?? plain];
  return [...new Set([version, ...names.flatMap((name) => [name, `v${name}`, `V${name}`])])];
}
