import { BLOCKED_BY_HIGHER_PRIORITY } from '../assignment/index.ts';
import type { Sql } from '../db/index.ts';
import {
  chooseReleases,
  evaluateVersion,
  parseTarget,
  stopWord,
  type Target,
  type VersionVerdict,
} from '../policy/index.ts';
import { loadSteppingStones } from '../releases/index.ts';
import { loadHigherPriorityRollouts, loadRolloutRuntime, type RolloutRuntime } from '../rollouts/index.ts';
import {
  MATCHES_GROUP,
  MATCHES_LIST,
  MATCHES_METADATA,
  MATCHES_MODEL,
  MATCHES_VERSION,
  ON_TARGET_OF_HIGHER_PRIORITY,
  targetValues,
} from '../targeting/index.ts';
import { at, ENDED, type Explanation, explainUpdate, toDate, type UpdateFacts } from './explain-update.ts';
import { describeMissing, stateOf } from './rollout-status-text.ts';

/** An explanation, and whether the rollout targets the device. */
interface Evaluated extends Explanation {
  readonly isTargeted: boolean;
}

interface DeviceFacts {
  readonly version: string;
  /** Null if no update brought the device to its version. */
  readonly version_since: Date | null;
  readonly last_seen: Date | null;
  readonly matches_model: boolean;
  readonly matches_list: boolean;
  readonly matches_group: boolean;
  readonly matches_version: boolean;
  readonly matches_metadata: boolean;
  readonly revoked_at: Date | null;
  readonly revoked_reason: string | null;
  readonly hash: string;
  readonly update: UpdateFacts | null;
  /** An open update of another rollout. */
  readonly held_by: { readonly rollout: string; readonly status: string; readonly since: string } | null;
  /** A higher-priority rollout that has already updated the device. */
  readonly served_by: { readonly rollout: string; readonly since: string } | null;
}

/** @returns undefined if the rollout or the device does not exist */
export async function explainDevice(
  sql: Sql,
  rolloutId: number,
  deviceId: string,
  now: Date,
): Promise<Explanation | undefined> {
  const evaluated = await evaluateDevice(sql, rolloutId, deviceId, now);
  if (evaluated === undefined) return undefined;
  const { isTargeted: _, ...explanation } = evaluated;
  return explanation;
}

/** Maximum rollouts to examine while looking for one that targets the device. */
const CANDIDATES = 10;

/**
 * Explains a device by the rollout that is updating it; otherwise by the newest rollout that targets it; otherwise by
 * the newest rollout of its model.
 * @param version only rollouts of this version; null: any
 * @returns undefined if there is no such rollout
 */
export async function explainByItsRollout(
  sql: Sql,
  deviceId: string,
  version: string | null,
  now: Date,
): Promise<(Explanation & { readonly rolloutId: number }) | undefined> {
  const candidates = await sql.query<{ id: number }>(
    `SELECT r.id FROM devices AS d JOIN rollout_configurations AS r ON r.device_model = d.device_model
     LEFT JOIN device_update_status AS u ON u.rollout_id = r.id AND u.device_id = d.device_id AND u.completed_at IS NULL
     WHERE d.device_id = :device AND (:version::text IS NULL OR r.firmware_version = :version)
     ORDER BY u.id IS NULL, r.aborted_at IS NOT NULL, r.id DESC LIMIT ${CANDIDATES}`,
    { device: deviceId, version },
  );
  let newest: (Evaluated & { readonly rolloutId: number }) | undefined;
  for (const { id: rolloutId } of candidates) {
    const evaluated = await evaluateDevice(sql, rolloutId, deviceId, now);
    if (evaluated === undefined) continue;
    if (evaluated.isTargeted) return { ...evaluated, rolloutId };
    newest ??= { ...evaluated, rolloutId };
  }
  return newest;
}

async function evaluateDevice(
  sql: Sql,
  rolloutId: number,
  deviceId: string,
  now: Date,
): Promise<Evaluated | undefined> {
  const rollout = await loadRolloutRuntime(sql, rolloutId);
  if (rollout === undefined) return undefined;
  const target = parseTarget(rollout.target_type, rollout.target_filter, rollout.rollout_percentage);
  if (!target.ok) {
    return { rule: target.reason, since: null, next: 'nothing, until the rollout is corrected', isTargeted: false };
  }
  const device = await loadDeviceFacts(sql, rollout, target.target, deviceId);
  if (device === undefined) return undefined;
  if (device.revoked_at !== null) {
    const rule = `its identity was revoked: ${device.revoked_reason ?? 'no reason given'}`;
    const isTargeted = whyNotTargeted(device, rollout) === undefined;
    return { rule, since: device.revoked_at, next: 'nothing, unless it is reinstated', isTargeted };
  }
  if (device.update !== null) return { ...explainUpdate(device.update, rollout, now), isTargeted: true };
  const outside = whyNotTargeted(device, rollout);
  if (outside !== undefined) return { ...outside, since: null, isTargeted: false };
  return { ...(await explainTargeted(sql, rollout, deviceId, device, now)), isTargeted: true };
}

async function explainTargeted(
  sql: Sql,
  rollout: RolloutRuntime,
  deviceId: string,
  device: DeviceFacts,
  now: Date,
): Promise<Explanation> {
  const excluded = await explainVersion(sql, device, rollout);
  if (excluded !== undefined) return { ...excluded, since: device.version_since };
  if (await isOnHigherPriorityTarget(sql, rollout, deviceId, device)) {
    const rule = `is on ${device.version}, which is the target of a higher-priority rollout`;
    return { rule, since: device.version_since, next: NOT_FOR_DEVICE };
  }
  const missing = rollout.release_id === null ? await describeMissing(sql, rollout) : '';
  return explainUnassigned(device, rollout, missing, now);
}

async function isOnHigherPriorityTarget(
  sql: Sql,
  rollout: RolloutRuntime,
  deviceId: string,
  { version }: DeviceFacts,
): Promise<boolean> {
  const higherPriority = await loadHigherPriorityRollouts(sql, rollout, [version]);
  const [row] = await sql.query<{ is_on_target: boolean }>(
    `SELECT ${ON_TARGET_OF_HIGHER_PRIORITY} AS is_on_target FROM devices AS d WHERE device_id = :id`,
    {
      id: deviceId,
      higherPriority,
    },
  );
  return row?.is_on_target ?? false;
}

async function loadDeviceFacts(
  sql: Sql,
  rollout: RolloutRuntime,
  target: Target,
  deviceId: string,
): Promise<DeviceFacts | undefined> {
  const [row] = await sql.query<DeviceFacts>(
    `SELECT d.current_firmware_version AS version, d.last_seen, d.revoked_at, d.revoked_reason,
       (SELECT max(u.booted_at) FROM device_update_status AS u
        WHERE u.device_id = d.device_id AND u.firmware_version = d.current_firmware_version) AS version_since,
       (${MATCHES_MODEL}) AS matches_model, ${MATCHES_LIST} AS matches_list, ${MATCHES_GROUP} AS matches_group,
       ${MATCHES_VERSION} AS matches_version, ${MATCHES_METADATA} AS matches_metadata,
       md5(:rollout::bigint || ':' || d.device_id) AS hash,
       (SELECT to_jsonb(u) || jsonb_build_object('max_attempts', r.max_attempts)
        FROM device_update_status AS u JOIN rollout_configurations AS r ON r.id = u.rollout_id
        WHERE u.rollout_id = :rollout AND u.device_id = d.device_id AND NOT (u.is_reclaimable AND NOT p.is_stopped)
        ORDER BY u.id DESC LIMIT 1) AS update,
       (SELECT jsonb_build_object('rollout', o.name, 'status', u.status, 'since', u.created_at)
        FROM device_update_status AS u JOIN rollout_configurations AS o ON o.id = u.rollout_id
        WHERE u.device_id = d.device_id AND u.completed_at IS NULL AND u.rollout_id <> :rollout LIMIT 1) AS held_by,
       (SELECT jsonb_build_object('rollout', w.name, 'since', u.created_at)
        FROM device_update_status AS u JOIN rollout_configurations AS w ON w.id = u.rollout_id
        WHERE u.device_id = d.device_id AND ${BLOCKED_BY_HIGHER_PRIORITY} ORDER BY u.id DESC LIMIT 1) AS served_by
     FROM devices AS d LEFT JOIN rollout_runtime AS p ON p.rollout_id = :rollout
     WHERE d.device_id = :device`,
    {
      device: deviceId,
      rollout: rollout.id,
      priority: rollout.priority,
      ...targetValues(rollout.device_model, target),
    },
  );
  return row;
}

interface Exclusion {
  readonly rule: string;
  readonly next: string;
}

const NOT_FOR_DEVICE = 'nothing: this rollout does not target it';

function whyNotTargeted(device: DeviceFacts, rollout: RolloutRuntime): Exclusion | undefined {
  const parts: [boolean, string][] = [
    [device.matches_model, `is not of the model ${rollout.device_model}, or not of a model in target_filter.models`],
    [device.matches_list, 'is not one of the devices in target_filter'],
    [device.matches_group, 'is in none of the groups in target_filter'],
    [device.matches_version, `is on ${device.version}, which is not in target_filter.versions`],
    [device.matches_metadata, 'does not have the attributes in target_filter.metadata'],
  ];
  const part = parts.find(([matches]) => !matches);
  if (part !== undefined) return { rule: part[1], next: NOT_FOR_DEVICE };
  if (rollout.target_hash_cutoff !== null && device.hash > rollout.target_hash_cutoff) {
    return { rule: `is outside the targeted ${rollout.rollout_percentage}%`, next: NOT_FOR_DEVICE };
  }
  return undefined;
}

const VERSION_RULES: Readonly<
  Record<Exclude<VersionVerdict, 'eligible'>, (version: string, rollout: RolloutRuntime) => Exclusion>
> = {
  'on-target': (version) => ({ rule: `already runs ${version}`, next: 'nothing: done' }),
  newer: (version, { firmware_version }) => ({
    rule: `is on ${version}, which is newer than ${firmware_version}`,
    next: 'nothing, unless the rollout allows a downgrade',
  }),
  'below-minimum': (version, { firmware_version, min_version }) => ({
    rule: `is on ${version}; ${firmware_version} needs at least ${min_version}, and the rollout has no stepping stone that leads there`,
    next: 'nothing: the stepping stones of a rollout are decided when it is created',
  }),
  unknown: () => ({
    rule: 'has not reported its version',
    next: 'nothing, until it reports one or the rollout includes unknown versions',
  }),
  'not-comparable': (version, { min_version }) => ({
    rule: `is on ${version}, which cannot be compared with the minimum ${min_version}`,
    next: 'nothing',
  }),
};

async function explainVersion(
  sql: Sql,
  { version }: DeviceFacts,
  rollout: RolloutRuntime,
): Promise<Exclusion | undefined> {
  const { allow_downgrade: allowDowngrade, include_unknown: includeUnknown, min_version: minVersion } = rollout;
  const policy = { allowDowngrade, includeUnknown };
  const verdict = evaluateVersion(version, { ...policy, target: rollout.firmware_version, minVersion });
  if (verdict === 'eligible') return undefined;
  if (verdict === 'below-minimum' && rollout.stepping_stones === null) {
    return {
      rule: `is on ${version}; ${rollout.firmware_version} needs at least ${minVersion}, and the stepping stones are not decided yet`,
      next: 'the first tick of the active rollout decides them, from releases that were registered before it',
    };
  }
  if (verdict === 'below-minimum' && rollout.release_id !== null) {
    const target = { id: rollout.release_id, version: rollout.firmware_version, min_version: minVersion };
    const steppingStones = await loadSteppingStones(sql, rollout);
    if (chooseReleases([version], target, steppingStones, policy).length > 0) return undefined;
  }
  return VERSION_RULES[verdict](version, rollout);
}

/**
 * Explains a device that may be updated and has not been assigned.
 * @param missing why the release is missing; empty if it exists
 */
function explainUnassigned(device: DeviceFacts, rollout: RolloutRuntime, missing: string, now: Date): Explanation {
  const { held_by: holder, served_by: servedBy } = device;
  if (servedBy !== null) {
    return {
      rule: `was updated by rollout "${servedBy.rollout}", which has a higher priority`,
      since: toDate(servedBy.since),
      next: NOT_FOR_DEVICE,
    };
  }
  if (rollout.aborted_at !== null) {
    return {
      rule: `the rollout was aborted: ${rollout.paused_reason ?? 'no reason given'}`,
      since: rollout.aborted_at,
      next: ENDED,
    };
  }
  if (!rollout.is_active) return { rule: 'the rollout is not active', since: null, next: 'nothing, until it is' };
  if (rollout.completed_at !== null) {
    return {
      rule: 'joined after the rollout was completed',
      since: rollout.completed_at,
      next: 'nothing, unless it is kept open',
    };
  }
  if (rollout.paused_at !== null) {
    return {
      rule: `the rollout was ${stopWord(rollout.paused_by)}: ${rollout.paused_reason ?? 'no reason given'}`,
      since: rollout.paused_at,
      next: 'nothing, until it is resumed',
    };
  }
  if (rollout.release_id === null) {
    return { rule: missing, since: null, next: 'it continues when the release is registered' };
  }
  if (rollout.start_at !== null && now < rollout.start_at) {
    return { rule: 'the rollout has not started', since: null, next: `it starts at ${at(rollout.start_at)}` };
  }
  if (holder !== null) {
    const rule = `rollout "${holder.rollout}" is updating it (${holder.status})`;
    return { rule, since: toDate(holder.since), next: 'it is assigned when that update has ended' };
  }
  if (rollout.stage_hash_cutoff !== null && device.hash > rollout.stage_hash_cutoff) {
    const rule = `belongs to a later stage; the rollout is in stage ${rollout.stage + 1}`;
    return { rule, since: rollout.stage_began_at, next: `the stage is ${stateOf(rollout, now)}` };
  }
  return {
    rule: 'may be updated',
    since: device.version_since,
    next: 'it is assigned by the next tick',
  };
}
