import * as z from 'zod';
import {
  BLOCKED_BY_HIGHER_PRIORITY,
  BY_RELEASE_MAP,
  BY_STORED_CUTOFF,
  firstFailed,
  HAS_OPEN_UPDATE,
  IMAGE_BY_RELEASE_MAP,
  RULES,
} from '../assignment/index.ts';
import { anyJson, type RowOf, type Sql, select } from '../db/index.ts';
import { heldBy, holdsOf } from '../holds/index.ts';
import { chooseReleases, imageLimits, type RegisteredRelease, type Target } from '../policy/index.ts';
import type { FactValue, ReleaseCounter } from '../protocol/index.ts';
import { loadHigherPriorityRollouts, type RolloutRuntime } from '../rollouts/index.ts';
import {
  cutoffValues,
  JOINED_LATER,
  KEEPER,
  type KnownIssue,
  knownIssuesOf,
  statedOfBar,
  targetValues,
} from '../targeting/index.ts';
import type { DeviceId } from '../util/index.ts';
import { updateFacts } from './explain-update.ts';

const deviceFacts = z.strictObject({
  device_model: z.string(),
  model_is_assumed: z.boolean(),
  mac_address: z.string().nullable(),
  metadata: anyJson<Readonly<Record<string, FactValue>>>(),
  facts: anyJson<Readonly<Record<string, FactValue>>>(),
  /** Its groups that the filter of the rollout names. */
  named_groups: z.array(z.string()),
  reported_model: z.string().nullable(),
  reported_mac: z.string().nullable(),
  version: z.string(),
  /** Null if no update brought the device to its version. */
  version_since: z.date().nullable(),
  revoked_at: z.date().nullable(),
  revoked_reason: z.string().nullable(),
  identity_changed_at: z.date().nullable(),
  /** The update with whose version the identity changed; null if it changed without one, or did not change. */
  changed_by: z.strictObject({ rollout: z.string(), version: z.string() }).nullable(),
  /** True if a rollout is for its model. */
  has_rollout: z.boolean(),
  /** The first rule of assignment that the device does not pass; null if it passes all. */
  rule: z.enum(RULES).nullable(),
  registered_at: z.date(),
  /** True if it registered after the targets of the rollout were counted. */
  joined_later: z.boolean(),
  update: updateFacts.nullable(),
  /** The holds in force that hold it, the widest first. */
  holds: z.array(heldBy),
  /** An open update of another rollout. */
  busy_with: z.strictObject({ rollout: z.string(), status: z.string(), since: z.string() }).nullable(),
  /** A higher-priority rollout that has already updated the device. */
  served_by: z.strictObject({ rollout: z.string(), since: z.string() }).nullable(),
  /** A higher-priority rollout whose version the device runs. */
  kept_by: z.string().nullable(),
  /** The limits of the image that it would be sent; null if there is none. */
  image: imageLimits.nullable(),
  /** The known issues that keep it from the release that it would be sent, by their ids. */
  issues: z.array(z.int()),
  /** What it states, if `rule` is that the image contradicts it. */
  stated: z.number().nullable(),
});
export type DeviceFacts = RowOf<typeof deviceFacts>;

/** The releases of a model that decide which one a device gets. */
export interface KnownReleases {
  readonly steppingStones: readonly RegisteredRelease[];
  readonly counters: readonly ReleaseCounter[];
  readonly knownIssues: readonly KnownIssue[];
}

export async function loadDeviceFacts(
  sql: Sql,
  rollout: RolloutRuntime,
  target: Target,
  deviceId: DeviceId,
  known: KnownReleases,
): Promise<DeviceFacts | undefined> {
  const [device] = await select(
    sql,
    z.strictObject({ version: z.string() }),
    'SELECT current_firmware_version AS version FROM devices WHERE device_id = :device',
    { device: deviceId },
  );
  if (device === undefined) return undefined;
  const [row] = await select(sql, deviceFacts, FACTS, {
    device: deviceId,
    rollout: rollout.id,
    priority: rollout.priority,
    // Before the rollout and its stage begin, every device may be among them.
    ...cutoffValues(rollout, EVERY_HASH),
    knownIssues: known.knownIssues,
    releases: releaseFor(rollout, known, device.version),
    higherPriority: await loadHigherPriorityRollouts(sql, rollout, [device.version]),
    ...targetValues(rollout.device_model, target),
  });
  return row;
}

const EVERY_HASH = 'f'.repeat(32);

/** The release that the rollout would send to this version, by the version; empty if there is none. */
function releaseFor(
  rollout: RolloutRuntime,
  { steppingStones, counters }: KnownReleases,
  version: string,
): Record<string, string> {
  if (rollout.release_id === null) return {};
  const { allow_downgrade: allowDowngrade, include_unknown: includeUnknown, min_version } = rollout;
  const target = { id: rollout.release_id, version: rollout.firmware_version, min_version };
  const [release] = chooseReleases([version], target, steppingStones, { allowDowngrade, includeUnknown, counters });
  return release === undefined ? {} : { [version]: release.version };
}

const FACTS = `SELECT d.current_firmware_version AS version, d.revoked_at, d.revoked_reason,
       d.device_model, d.model_is_assumed, d.mac_address, d.reported_model, d.reported_mac, d.identity_changed_at,
       (SELECT jsonb_build_object('rollout', r.name, 'version', u.firmware_version)
        FROM (SELECT * FROM device_update_status
              WHERE device_id = d.device_id AND rollout_id IS NOT NULL AND sends > 0 AND created_at <= d.identity_changed_at
              ORDER BY id DESC LIMIT 1) AS u JOIN rollout_configurations AS r ON r.id = u.rollout_id
        WHERE ltrim(u.firmware_version, 'vV') = ltrim(d.current_firmware_version, 'vV')) AS changed_by,
       EXISTS (SELECT FROM rollout_configurations AS r WHERE r.device_model = d.device_model) AS has_rollout,
       ${holdsOf('d.device_id')} AS holds,
       (SELECT max(u.booted_at) FROM device_update_status AS u
        WHERE u.device_id = d.device_id AND u.firmware_version = d.current_firmware_version) AS version_since,
       failed.rule, ${statedOfBar('failed.rule')} AS stated, ${IMAGE_BY_RELEASE_MAP} AS image,
       ${knownIssuesOf(BY_RELEASE_MAP.version)} AS issues,
       ${JOINED_LATER} AS joined_later, d.registered_at, d.metadata, d.facts,
       (SELECT coalesce(jsonb_agg(named.group_name), '[]') FROM (
          SELECT g.group_name FROM device_groups AS g WHERE g.device_id = d.device_id AND g.group_name IN (
            SELECT jsonb_array_elements_text(coalesce(:groups::jsonb, '[]') || coalesce(:excepted::jsonb -> 'groups', '[]')))
          ORDER BY 1 LIMIT 100) AS named) AS named_groups,
       (SELECT to_jsonb(u) || jsonb_build_object('max_attempts', r.max_attempts)
        FROM device_update_status AS u JOIN rollout_configurations AS r ON r.id = u.rollout_id
        WHERE u.rollout_id = :rollout AND u.device_id = d.device_id AND NOT (u.is_reclaimable AND NOT p.is_stopped)
        ORDER BY u.id DESC LIMIT 1) AS update,
       (SELECT jsonb_build_object('rollout', o.name, 'status', u.status, 'since', u.created_at)
        FROM device_update_status AS u JOIN rollout_configurations AS o ON o.id = u.rollout_id
        WHERE u.device_id = d.device_id AND ${HAS_OPEN_UPDATE} AND u.rollout_id <> :rollout LIMIT 1) AS busy_with,
       (SELECT jsonb_build_object('rollout', w.name, 'since', u.created_at)
        FROM device_update_status AS u JOIN rollout_configurations AS w ON w.id = u.rollout_id
        WHERE u.device_id = d.device_id AND ${BLOCKED_BY_HIGHER_PRIORITY} ORDER BY u.id DESC LIMIT 1) AS served_by,
       (SELECT w.name FROM rollout_configurations AS w WHERE w.id = ${KEEPER}) AS kept_by
     FROM devices AS d LEFT JOIN rollout_runtime AS p ON p.rollout_id = :rollout
     CROSS JOIN LATERAL (
       SELECT ${firstFailed({ ...BY_RELEASE_MAP, ...BY_STORED_CUTOFF }, 'revoked', 'identity')} AS rule OFFSET 0) AS failed
     WHERE d.device_id = :device`;
