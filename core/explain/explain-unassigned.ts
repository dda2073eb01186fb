import type { Rule } from '../assignment/index.ts';
import {
  BAR_ENDS,
  describeBar,
  describeHeldDevice,
  describeHoldEnd,
  describeIssue,
  describeIssueEnd,
  describePredecessor,
  type IssueFacts,
  isBar,
  stopWord,
  type Target,
} from '../policy/index.ts';
import { evaluateVersion, type ReleaseCounter, type VersionVerdict } from '../protocol/index.ts';
import type { RolloutRuntime } from '../rollouts/index.ts';
import { TARGET_RULES, type TargetRule } from '../targeting/index.ts';
import type { DeviceId } from '../util/index.ts';
import type { DeviceFacts } from './device-facts.ts';
import { whyNotMatching } from './explain-target.ts';
import { at, ENDED, type Explanation, toDate } from './explain-update.ts';
import { stateOf } from './rollout-status-text.ts';

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
export function whyNotTargeted(
  deviceId: DeviceId,
  device: DeviceFacts,
  rollout: RolloutRuntime,
  target: Target,
): Exclusion | undefined {
  const { rule, model_is_assumed: isAssumed, device_model: model } = device;
  if (isAssumed && (rule === 'stated' || rule === 'model')) {
    return {
      rule: `its model was never stated: ${model} is assumed, and only a rollout that names it by its id targets it`,
      next: `nothing, until its firmware reports a model, or \`paku-ota device accept ${deviceId} --model <model>\` states it`,
    };
  }
  if (rule === 'share') {
    const text = `is outside the targeted ${rollout.rollout_percentage}%${whyNotCounted(device, rollout)}`;
    return { rule: text, next: NOT_FOR_DEVICE };
  }
  const isOfTarget = (failed: Rule): failed is TargetRule => (TARGET_RULES as readonly Rule[]).includes(failed);
  if (rule === null || !isOfTarget(rule)) return undefined;
  return { rule: whyNotMatching(rule, deviceId, device, rollout.device_model, target), next: NOT_FOR_DEVICE };
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

interface Reasons {
  readonly missing: string | undefined;
  readonly counters: readonly ReleaseCounter[];
  readonly issue: IssueFacts | undefined;
}

/**
 * Explains a device that the rollout targets and has not assigned.
 * @param issue the known issue that keeps it from the release; undefined if none does
 * @param missing why the release is missing, or must not be sent; undefined if it may be
 */
export function explainUnassigned(
  device: DeviceFacts,
  rollout: RolloutRuntime,
  { missing, counters, issue }: Reasons,
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
  const { image, stated } = device;
  if (isBar(rule) && image !== null && stated !== null) {
    return { rule: describeBar(rule, image, stated), since: null, next: BAR_ENDS[rule] };
  }
  if (rule === 'known issue' && issue !== undefined) {
    return { rule: describeIssue(issue), since: null, next: describeIssueEnd(issue) };
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
  if (rollout.waits_for !== null) {
    return { rule: 'the rollout has not started', since: null, next: describePredecessor(rollout.waits_for) };
  }
  const [hold] = holds;
  if (rule === 'held' && hold !== undefined) {
    return {
      rule: describeHeldDevice(holds),
      since: toDate(hold.created_at),
      next: `it may be updated ${describeHoldEnd(holds)}`,
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
