import * as z from 'zod';
import {
  BLOCKED_BY_HIGHER_PRIORITY,
  BY_RELEASE_MAP,
  BY_STORED_CUTOFF,
  firstFailed,
  HAS_OPEN_UPDATE,
  RULES,
  type Rule,
} from '../assignment/index.ts';
import { type RowOf, readInPages, type Sql, select } from '../db/index.ts';
import { heldBy, holdsOf } from '../holds/index.ts';
import {
  chooseReleases,
  describeHeldDevice,
  describeHoldEnd,
  parseTarget,
  type RegisteredRelease,
  stopWord,
  type Target,
} from '../policy/index.ts';
import { describeChange, evaluateVersion, type ReleaseCounter, type VersionVerdict } from '../protocol/index.ts';
import { NO_SIGNATURE_REQUIRED, type TrustRule, whyNotSendable } from '../release-policy/index.ts';
import { loadCounters, loadSteppingStones } from '../releases/index.ts';
import { loadHigherPriorityRollouts, loadRolloutRuntime, type RolloutRuntime } from '../rollouts/index.ts';
import { cutoffValues, JOINED_LATER, KEEPER, type TargetRule, targetValues } from '../targeting/index.ts';
import { loadProcessedUntil } from '../updates/index.ts';
import { type DeviceId, ID, type RolloutId } from '../util/index.ts';
import { at, ENDED, type Explanation, explainUpdate, toDate, type UpdateFacts, updateFacts } from './explain-update.ts';
import { describeMissing, stateOf } from './rollout-status-text.ts';

/** An explanation, and whether the rollout targets the device. */
interface Evaluated extends Explanation {
  readonly isTargeted: boolean;
}

const deviceFacts = z.strictObject({
  device_model: z.string(),
  model_is_assumed: z.boolean(),
  mac_address: z.string().nullable(),
  reported_model: z.string().nullable(),
  reported_mac: z.string().nullable(),
  version: z.string(),
  /** Null if no update brought the device to its version. */
  version_since: z.date().nullable(),
  revoked_at: z.date().nullable(),
  revoked_reason: z.string().nullable(),
  identity_changed_at: z.date().nullable(),
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
});
type DeviceFacts = RowOf<typeof deviceFacts>;

/** @returns undefined if the rollout or the device does not exist */
export async function explainDevice(
  sql: Sql,
  rolloutId: RolloutId,
  deviceId: DeviceId,
  now: Date,
  trust: TrustRule = NO_SIGNATURE_REQUIRED,
): Promise<Explanation | undefined> {
  const evaluated = await evaluateDevice(sql, rolloutId, deviceId, now, trust);
  if (evaluated === undefined) return undefined;
  const { isTargeted: _, ...explanation } = evaluated;
  return explanation;
}

const CANDIDATES_PER_PAGE = 5_000;

/**
 * Explains a device by the rollout that is updating it; otherwise by the newest rollout that targets it; otherwise by
 * the newest rollout of its model.
 * @param version only rollouts of this version; null: any
 * @returns undefined if there is no such rollout
 */
export async function explainByItsRollout(
  sql: Sql,
  deviceId: DeviceId,
  version: string | null,
  now: Date,
  trust: TrustRule = NO_SIGNATURE_REQUIRED,
): Promise<(Explanation & { readonly rolloutId: RolloutId }) | undefined> {
  const candidates = await readInPages(
    (page) =>
      select(
        sql,
        z.strictObject({ id: ID.rollout }),
        `SELECT r.id FROM devices AS d JOIN rollout_configurations AS r ON r.device_model = d.device_model
     LEFT JOIN device_update_status AS u ON u.rollout_id = r.id AND u.device_id = d.device_id AND u.completed_at IS NULL
     WHERE d.device_id = :device AND (:version::text IS NULL OR r.firmware_version = :version)
     ORDER BY u.id IS NULL, r.aborted_at IS NOT NULL, r.id DESC LIMIT :limit OFFSET :offset`,
        { device: deviceId, version, ...page },
      ),
    CANDIDATES_PER_PAGE,
  );
  let newest: (Evaluated & { readonly rolloutId: RolloutId }) | undefined;
  for (const { id: rolloutId } of candidates) {
    const evaluated = await evaluateDevice(sql, rolloutId, deviceId, now, trust);
    if (evaluated === undefined) continue;
    if (evaluated.isTargeted) return { ...evaluated, rolloutId };
    newest ??= { ...evaluated, rolloutId };
  }
  return newest;
}

async function evaluateDevice(
  sql: Sql,
  rolloutId: RolloutId,
  deviceId: DeviceId,
  now: Date,
  trust: TrustRule,
): Promise<Evaluated | undefined> {
  const rollout = await loadRolloutRuntime(sql, rolloutId);
  if (rollout === undefined) return undefined;
  const target = parseTarget(rollout.target_type, rollout.target_filter, rollout.rollout_percentage);
  if (!target.ok) {
    return { rule: target.reason, since: null, next: 'nothing, until the rollout is corrected', isTargeted: false };
  }
  const steppingStones = await loadSteppingStones(sql, rollout, trust, now);
  const counters = await loadCounters(sql, rollout, trust);
  const device = await loadDeviceFacts(sql, rollout, target.value, deviceId, { steppingStones, counters });
  if (device === undefined) return undefined;
  const outside = whyNotTargeted(deviceId, device, rollout);
  if (device.revoked_at !== null) {
    const rule = `its identity was revoked: ${device.revoked_reason ?? 'no reason given'}`;
    return {
      rule,
      since: device.revoked_at,
      next: 'nothing, unless it is reinstated',
      isTargeted: outside === undefined,
    };
  }
  if (device.update !== null) {
    const explanation = explainUpdate(device.update, device.version, rollout, now, device.holds[0]);
    const wait = await explainUnprocessed(sql, device.update, now);
    return { ...explanation, ...(wait === undefined ? {} : { next: wait }), isTargeted: true };
  }
  // A rollout of the model that the device reports instead of its own is asked about, too.
  const isMeant = outside === undefined || device.reported_model === rollout.device_model;
  if (device.identity_changed_at !== null && isMeant) {
    const next = `nothing, until that is accepted with \`paku-ota device accept ${deviceId}\``;
    const isTargeted = outside === undefined;
    return { rule: describeChange(device), since: device.identity_changed_at, next, isTargeted };
  }
  if (outside !== undefined) return { ...outside, since: null, isTargeted: false };
  const missing =
    rollout.release_id === null
      ? await describeMissing(sql, rollout)
      : whyNotSendable({ ...rollout, version: rollout.firmware_version }, trust, now);
  return { ...explainUnassigned(device, rollout, { missing, counters }, now), isTargeted: true };
}

/** Undefined unless the deadline of an open update has passed and messages that were received before it may wait. */
async function explainUnprocessed(sql: Sql, { completed_at, deadline_at }: UpdateFacts, now: Date) {
  const deadline = toDate(completed_at === null ? deadline_at : null);
  if (deadline === null || deadline > now) return undefined;
  const until = await loadProcessedUntil(sql, now);
  if (until >= deadline) return undefined;
  return `its deadline passed at ${at(deadline)}, and counts once every message that was received before it has been processed; the queues were processed until ${at(until)}`;
}

/** The releases of a model that decide which one a device gets. */
interface KnownReleases {
  readonly steppingStones: readonly RegisteredRelease[];
  readonly counters: readonly ReleaseCounter[];
}

async function loadDeviceFacts(
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
       ${holdsOf('d.device_id')} AS holds,
       (SELECT max(u.booted_at) FROM device_update_status AS u
        WHERE u.device_id = d.device_id AND u.firmware_version = d.current_firmware_version) AS version_since,
       ${firstFailed({ ...BY_RELEASE_MAP, ...BY_STORED_CUTOFF }, 'revoked', 'identity')} AS rule,
       ${JOINED_LATER} AS joined_later, d.registered_at,
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
     WHERE d.device_id = :device`;

interface Exclusion {
  readonly rule: string;
  readonly next: string;
}

const NOT_FOR_DEVICE = 'nothing: this rollout does not target it';

/** Says that the device was not among the targets that were counted; empty if it was. */
function whyNotCounted({ joined_later, registered_at }: DeviceFacts, { counted_at }: RolloutRuntime): string {
  if (!joined_later || counted_at === null) return '';
  return ` (it registered at ${at(registered_at)}, after the targets were counted at ${at(counted_at)})`;
}

/** Why the rollout does not target the device, whatever it runs; undefined if it does. */
function whyNotTargeted(deviceId: DeviceId, device: DeviceFacts, rollout: RolloutRuntime): Exclusion | undefined {
  const { rule, version, model_is_assumed: isAssumed, device_model: model } = device;
  if (isAssumed && (rule === 'stated' || rule === 'model')) {
    return {
      rule: `nobody has stated its model: ${model} is assumed, and only a rollout that names it by its id targets it`,
      next: `nothing, until its firmware reports a model, or \`paku-ota device accept ${deviceId} --model <model>\` states it`,
    };
  }
  const parts: Readonly<Record<TargetRule | 'share', string>> = {
    model: `is not of the model ${rollout.device_model}, or not of a model in target_filter.models`,
    list: 'is not one of the devices in target_filter',
    group: 'is in none of the groups in target_filter',
    version: `is on ${version}, which is not in target_filter.versions`,
    metadata: 'does not have the attributes in target_filter.metadata',
    share: `is outside the targeted ${rollout.rollout_percentage}%${whyNotCounted(device, rollout)}`,
  };
  const isPart = (failed: Rule): failed is keyof typeof parts => failed in parts;
  return rule !== null && isPart(rule) ? { rule: parts[rule], next: NOT_FOR_DEVICE } : undefined;
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
  'lower-counter': (version, { firmware_version }) => ({
    rule: `is on ${version}, whose anti-rollback counter is higher than that of ${firmware_version}: its bootloader would refuse it`,
    next: 'nothing, unless the setting allowLowerSecureVersion says that the devices have no anti-rollback',
  }),
  unknown: () => ({
    rule: 'has not reported its version',
    next: 'nothing, until it reports one or the rollout includes unknown versions',
  }),
  'not-comparable': (version, { firmware_version }) => ({
    rule: `is on ${version}, which has no order with ${firmware_version} or its minimum version`,
    next: 'nothing, unless the rollout includes unknown versions',
  }),
};

/** Why no release of the rollout is for the version of the device; undefined if only the release is missing. */
function explainVersion(
  { version }: DeviceFacts,
  rollout: RolloutRuntime,
  counters: readonly ReleaseCounter[],
): Exclusion | undefined {
  const { allow_downgrade: allowDowngrade, include_unknown: includeUnknown, min_version: minVersion } = rollout;
  const verdict = evaluateVersion(version, {
    allowDowngrade,
    includeUnknown,
    target: rollout.firmware_version,
    minVersion,
    counters,
  });
  if (verdict === 'eligible') return undefined;
  if (verdict === 'below-minimum' && rollout.stepping_stones === null) {
    return {
      rule: `is on ${version}; ${rollout.firmware_version} needs at least ${minVersion}, and the stepping stones are not decided yet`,
      next: 'the first tick of the active rollout decides them, from releases that were registered before it',
    };
  }
  return VERSION_RULES[verdict](version, rollout);
}

/**
 * Explains a device that the rollout targets and has not assigned.
 * @param missing why the release is missing, or must not be sent; undefined if it may be
 */
function explainUnassigned(
  device: DeviceFacts,
  rollout: RolloutRuntime,
  { missing, counters }: { readonly missing: string | undefined; readonly counters: readonly ReleaseCounter[] },
  now: Date,
): Explanation {
  const { rule, holds, busy_with: holder, served_by: servedBy, kept_by: keptBy } = device;
  const excluded = rule === 'eligible' ? explainVersion(device, rollout, counters) : undefined;
  if (excluded !== undefined) return { ...excluded, since: device.version_since };
  if (rule === 'kept') {
    const on = `is on ${device.version}, which is the target of a higher-priority rollout, "${keptBy}"`;
    return { rule: on, since: device.version_since, next: NOT_FOR_DEVICE };
  }
  if (rule === 'blocked') {
    return {
      rule: `was updated by rollout "${servedBy?.rollout}", which has a higher priority`,
      since: toDate(servedBy?.since ?? null),
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
  const { requested_by: requestedBy } = rollout;
  if (!rollout.is_active) {
    const rule =
      requestedBy === null
        ? 'the rollout is not active'
        : `the start of the rollout, which ${requestedBy} requested, waits for approval by a second person`;
    return { rule, since: null, next: requestedBy === null ? 'nothing, until it is' : 'nothing, until it is approved' };
  }
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
      next:
        requestedBy === null
          ? 'nothing, until it is resumed'
          : 'nothing, until a second person approves its resumption',
    };
  }
  if (missing !== undefined) {
    const next =
      rollout.release_id === null ? 'it continues when the release is registered' : 'the next tick halts the rollout';
    return { rule: missing, since: null, next };
  }
  if (rollout.start_at !== null && now < rollout.start_at) {
    return { rule: 'the rollout has not started', since: null, next: `it starts at ${at(rollout.start_at)}` };
  }
  const [hold] = holds;
  if (rule === 'held' && hold !== undefined) {
    return {
      rule: describeHeldDevice(hold),
      since: toDate(hold.created_at),
      next: `it may be updated ${describeHoldEnd(hold)}`,
    };
  }
  if (rule === 'busy' && holder !== null) {
    const busy = `rollout "${holder.rollout}" is updating it (${holder.status})`;
    return { rule: busy, since: toDate(holder.since), next: 'it is assigned when that update has ended' };
  }
  if (rule === 'stage') {
    const later = `belongs to a later stage${whyNotCounted(device, rollout)}; the rollout is in stage ${rollout.stage + 1}`;
    return { rule: later, since: rollout.stage_began_at, next: `the stage is ${stateOf(rollout, now)}` };
  }
  return {
    rule: 'may be updated',
    since: device.version_since,
    next: isDrawn(rollout)
      ? 'it is assigned by the next tick'
      : 'the next tick draws the devices of the percentage and of the first stage',
  };
}

/** True if it is known which devices the percentage and the present stage include. */
const isDrawn = ({ stage_hash_cutoff, rollout_percentage, stages }: RolloutRuntime): boolean =>
  stage_hash_cutoff !== null || (rollout_percentage === 100 && (!Array.isArray(stages) || stages.length === 0));
