import { assignByScan, hasAssignable, recordHolds, scanStateOf } from '../assignment/index.ts';
import type { Sql } from '../db/index.ts';
import { loadKnownIssues } from '../known-issues/index.ts';
import type { AssignableRelease } from '../policy/index.ts';
import {
  checkHealth,
  chooseReleases,
  decideRollout,
  describeDecision,
  describeEnd,
  describeHold,
  describePredecessor,
  isGateMet,
  needsControl,
  ORCHESTRATOR,
  openUntil,
  parsePlan,
  parseSteppingStones,
  parseTarget,
  type RegisteredRelease,
  type RolloutDecision,
  type RolloutPlan,
  type Target,
} from '../policy/index.ts';
import { type ReleaseCounter, runsRelease } from '../protocol/index.ts';
import { assignRest, endProbations } from '../recovery/index.ts';
import { type TrustRule, whyNotSendable } from '../release-policy/index.ts';
import { loadCounters, loadSteppingStones } from '../releases/index.ts';
import {
  abortRollout,
  beginStage,
  completeRollout,
  countTargets,
  extendStage,
  gatesOf,
  getRollout,
  hasBooted,
  hasSilence,
  hasTargetsOutsideStage,
  listVersionsInUse,
  loadControlGroup,
  loadHealthEvidence,
  loadHigherPriorityRollouts,
  MAX_HIGHER_PRIORITY_BYTES,
  MAX_VERSIONS_IN_USE,
  NO_CONTROL_GROUP,
  numbersOf,
  type RolloutRuntime,
  recordGate,
  type StageStart,
  setSendsUntil,
  setStartLimit,
  stopRollout,
} from '../rollouts/index.ts';
import type { HigherPriorityRollout, KnownIssue } from '../targeting/index.ts';
import { pickPendingUpdates } from '../updates/index.ts';
import type { ReleaseId, UpdateId } from '../util/index.ts';
import { findFailing, whichDevices } from './compare-values.ts';

const DISPATCHES_PER_TICK = 500;
/** Seconds for which a picked update is left to the dispatch queue before a tick picks it again. */
const DISPATCH_HOLD_SECONDS = 60;

export interface RolloutTick {
  readonly assigned: number;
  /** Ids of pending updates to dispatch now. */
  readonly pending: readonly UpdateId[];
  readonly state: string;
  /** When the rollout has something to do even if no device reports; null: never. */
  readonly dueAt: Date | null;
}

/** A rollout whose columns were loaded and are valid. */
interface RolloutContext {
  readonly rollout: RolloutRuntime & { readonly release_id: ReleaseId };
  readonly plan: RolloutPlan;
  readonly target: Target;
  readonly versionsInUse: readonly string[];
  readonly higherPriority: readonly HigherPriorityRollout[];
  /** Decided with the rollout, by which devices below the minimum version of its release reach it. */
  readonly steppingStones: readonly RegisteredRelease[];
  readonly counters: readonly ReleaseCounter[];
  readonly knownIssues: readonly KnownIssue[];
}

/**
 * Runs one rollout for one tick: assigns the devices that its stage reaches, evaluates its gates and picks updates to
 * send. The gates read evidence up to `processedUntil`: messages that were received later may still wait in a queue.
 */
export async function driveRollout(
  sql: Sql,
  rollout: RolloutRuntime,
  now: Date,
  trust: TrustRule,
  processedUntil = now,
): Promise<RolloutTick> {
  if (rollout.end_at !== null && now >= rollout.end_at) return end(sql, rollout, rollout.end_at, now);
  if (rollout.start_at !== null && now < rollout.start_at) {
    return { ...NOTHING, state: `scheduled for ${rollout.start_at.toISOString()}`, dueAt: rollout.start_at };
  }
  if (rollout.waits_for !== null)
    return { ...NOTHING, state: describePredecessor(rollout.waits_for), dueAt: rollout.end_at };
  const context = await loadContext(sql, rollout, now, trust);
  if (typeof context === 'string') return { ...NOTHING, state: context, dueAt: null };
  const withStage = await preparePresentStage(sql, context, now);
  if (withStage === undefined) return { ...NOTHING, state: 'stopped or started by another tick just now', dueAt: now };
  const releases = releasesFor(withStage);
  const { assigned, context: afterAssign } = await assign(sql, withStage, releases, now);
  const decision = await decide(sql, withStage, assigned, processedUntil);
  const furtherAssigned = await carryOut(sql, afterAssign, releases, decision, now);
  const pending =
    decision.kind === 'halt'
      ? []
      : await pickPendingUpdates(sql, rollout.id, DISPATCHES_PER_TICK, now, DISPATCH_HOLD_SECONDS);
  const isIdle = assigned + furtherAssigned + pending.length === 0;
  const hold = decision.kind === 'halt' ? null : rollout.service_hold;
  const completed =
    decision.kind === 'finish' && hold === null && isIdle && (await finish(sql, afterAssign, releases, now));
  const dueAt = isIdle && !completed ? (hold === null ? dueAfter(decision, rollout, now) : null) : now;
  const state = completed ? 'completed' : hold === null ? describeDecision(decision) : describeHold(hold);
  return {
    assigned: assigned + furtherAssigned,
    pending,
    state,
    dueAt: earlier(dueAt, completed ? null : rollout.end_at),
  };
}

const NOTHING = { assigned: 0, pending: [] };

const earlier = (a: Date | null, b: Date | null): Date | null => (a === null || (b !== null && b < a) ? b : a);

/** Aborts a rollout that has not ended by its end date. Downloads that have begun go on, as after every abort. */
async function end(sql: Sql, { id: rolloutId }: RolloutRuntime, endAt: Date, now: Date): Promise<RolloutTick> {
  const counts = await getRollout(sql, String(rolloutId));
  const reason = describeEnd(endAt, counts ?? { devices: 0, succeeded: 0, failed: 0 });
  await abortRollout(sql, { rolloutId, reason, by: ORCHESTRATOR }, now);
  return { ...NOTHING, state: `aborted: ${reason}`, dueAt: now };
}

/** Reads the gates: those of the outcomes first, then release health. */
async function decide(
  sql: Sql,
  { rollout, plan, versionsInUse }: RolloutContext,
  assigned: number,
  processedUntil: Date,
): Promise<RolloutDecision> {
  const health = hasBooted(rollout) ? await loadHealthEvidence(sql, rollout, versionsInUse, processedUntil) : undefined;
  const isControlNeeded = hasSilence(rollout) || (health !== undefined && needsControl(health));
  const control = isControlNeeded ? await loadControlGroup(sql, rollout, processedUntil) : NO_CONTROL_GROUP;
  const numbers = numbersOf(rollout, assigned, control);
  const decision = decideRollout(numbers, gatesOf(rollout), plan.stages, processedUntil);
  if (decision.kind === 'halt')
    return { ...decision, reason: decision.reason + (await whichDevices(sql, rollout, decision, control)) };
  const failing = await findFailing(sql, rollout, numbers);
  if (failing !== undefined) return { kind: 'halt', code: 'value', reason: failing };
  if (health === undefined) return decision;
  const { max_restart_ratio: maxRestartRatio, failure_threshold: failureThreshold } = rollout;
  const halt = checkHealth(health, { maxRestartRatio, failureThreshold }, control);
  return halt === undefined ? decision : { kind: 'halt', ...halt };
}

/** When the rollout is due next. Open updates are not considered, because they have deadlines of their own. */
function dueAfter(decision: RolloutDecision, { has_open, keep_open }: RolloutRuntime, now: Date): Date | null {
  if (decision.kind === 'soak') return decision.until;
  if (decision.kind === 'hold' || decision.kind === 'person') return null;
  return decision.kind === 'finish' && (has_open || keep_open) ? null : now;
}

/**
 * Loads what a rollout needs for a tick. Its columns may have been written by SQL; an invalid value halts the rollout.
 * @returns the context, or the state of a rollout that cannot continue
 */
async function loadContext(
  sql: Sql,
  rollout: RolloutRuntime,
  now: Date,
  trust: TrustRule,
): Promise<RolloutContext | string> {
  if (rollout.release_id === null) return 'waiting for its release';
  const notSendable = whyNotSendable({ ...rollout, version: rollout.firmware_version }, trust, now);
  if (notSendable !== undefined) return halt(sql, rollout, notSendable, now);
  // The API refuses to resume such a rollout; SQL can.
  if (rollout.recovered_by !== null) {
    return halt(
      sql,
      rollout,
      `its devices are being sent back by rollout "${rollout.recovered_by}"; abort that first`,
      now,
    );
  }
  const target = parseTarget(rollout.target_type, rollout.target_filter, rollout.rollout_percentage);
  const plan = parsePlan(rollout);
  const steppingStones = parseSteppingStones(rollout.stepping_stones);
  if (!target.ok || !plan.ok || !steppingStones.ok) {
    const reason = [target, plan, steppingStones].flatMap((parsed) => (parsed.ok ? [] : parsed.reason)).join('; ');
    return halt(sql, rollout, reason, now);
  }
  const versionsInUse = await listVersionsInUse(sql, rollout.device_model);
  const higherPriority = await loadHigherPriorityRollouts(sql, rollout, versionsInUse);
  const tooMany = describeExcess(rollout, versionsInUse, higherPriority);
  if (tooMany !== undefined) return halt(sql, rollout, tooMany, now);
  const counted = await countTargets(sql, rollout, target.value);
  if (counted === null) return 'waiting for devices';
  const window = plan.value.sendWindow;
  await setSendsUntil(sql, rollout.id, window === null ? null : (openUntil(window, now) ?? now));
  const checked = { ...rollout, ...counted, release_id: rollout.release_id };
  const has_changes = (await endBadProbations(sql, rollout, target.value, now)) || rollout.has_changes;
  const stones = await loadSteppingStones(sql, rollout, trust, now);
  return {
    rollout: { ...checked, has_changes },
    plan: plan.value,
    target: target.value,
    versionsInUse,
    higherPriority,
    steppingStones: stones,
    counters: await loadCounters(sql, rollout, trust),
    knownIssues: await loadKnownIssues(sql, rollout, target.value, stones),
  };
}

/**
 * Ends the probation of devices that a recovery takes, which came to run the bad release since it began.
 * @returns true if there were any; they are assigned in this tick
 */
async function endBadProbations(sql: Sql, rollout: RolloutRuntime, { recovers }: Target, now: Date): Promise<boolean> {
  if (recovers === null) return false;
  const recovery = { name: rollout.name, version: rollout.firmware_version, ...recovers };
  return (await endProbations(sql, recovers.rollout, recovery, now)) > 0;
}

/** Why the statements that assign devices would not fit a call of the Data API; undefined if they do. */
function describeExcess(
  { device_model: model }: RolloutRuntime,
  versionsInUse: readonly string[],
  higherPriority: readonly HigherPriorityRollout[],
): string | undefined {
  if (versionsInUse.length > MAX_VERSIONS_IN_USE) {
    return `devices of model ${model} report more than ${MAX_VERSIONS_IN_USE} versions, and a rollout can tell at most as many apart; set the model or the version of devices that report wrong ones`;
  }
  const bytes = JSON.stringify(higherPriority).length;
  if (bytes <= MAX_HIGHER_PRIORITY_BYTES) return undefined;
  return `the filters of ${higherPriority.length} higher-priority rollouts have ${bytes} bytes, and at most ${MAX_HIGHER_PRIORITY_BYTES} can be compared; end some of them, or use groups in place of lists of devices`;
}

async function halt(sql: Sql, { id: rolloutId }: RolloutRuntime, reason: string, now: Date): Promise<string> {
  await stopRollout(sql, { rolloutId, reason, by: ORCHESTRATOR }, now);
  return `halted: ${reason}`;
}

/**
 * Enters the first stage; later lets the present one send again: a slow start has room for as many as have ended, and a
 * stage that was resumed takes as many new devices as it had.
 */
async function preparePresentStage(sql: Sql, context: RolloutContext, now: Date): Promise<RolloutContext | undefined> {
  const { rollout } = context;
  if (rollout.stage_hash_cutoff === null) return enterStage(sql, context, 0, null, now);
  if (rollout.stage_must_repeat) {
    const devices = Math.max(1, rollout.stage_sample ?? 1);
    return extend(sql, context, devices, 'the stage is repeated after a resumption', now);
  }
  // A device that came into the target since may take the place of one that gives no outcome.
  const stage_is_exhausted =
    rollout.stage_is_exhausted && !(await hasTargetsOutsideStage(sql, rollout, context.target));
  return {
    ...context,
    rollout: { ...rollout, stage_is_exhausted, start_limit: await setStartLimit(sql, rollout) },
  };
}

async function extend(
  sql: Sql,
  context: RolloutContext,
  devices: number,
  reason: string,
  now: Date,
): Promise<RolloutContext | undefined> {
  const { rollout, target, plan } = context;
  const reach = plan.stages?.[rollout.stage]?.reach;
  const group = reach !== undefined && 'group' in reach ? reach.group : null;
  const extended = await extendStage(sql, rollout, target, devices, group, reason, now);
  if (extended === undefined) return undefined;
  return {
    ...context,
    rollout: { ...rollout, ...extended, stage_extended_at: now, gate_held_since: null },
  };
}

/** @returns the rollout in the new stage; undefined if another tick started it */
async function enterStage(
  sql: Sql,
  context: RolloutContext,
  stage: number,
  size: number | null,
  now: Date,
): Promise<RolloutContext | undefined> {
  const { rollout, plan, target } = context;
  const reach = plan.stages?.[Math.min(stage, plan.stages.length - 1)]?.reach;
  const start: StageStart = reach === undefined ? { waveSize: size } : { reach };
  const eligible = releasesFor(context).flatMap(({ fromVersions }) => fromVersions);
  const started = await beginStage(sql, rollout, target, stage, start, eligible, now);
  if (started === undefined) return undefined;
  const startLimit = plan.stages === null ? rollout.finished_count + started.size : null;
  return {
    ...context,
    rollout: {
      ...rollout,
      stage,
      stage_hash_cutoff: started.hash_cutoff,
      stage_later_cutoff: started.later_cutoff,
      stage_is_exhausted: false,
      stage_size: started.size,
      stage_sample: started.sample,
      stage_began_at: now,
      stage_extended_at: null,
      stage_must_repeat: false,
      gate_held_since: null,
      start_limit: startLimit,
    },
  };
}

/** The versions from which a rollout may update devices; empty if its release is not registered. */
export async function eligibleVersions(
  sql: Sql,
  rollout: RolloutRuntime,
  trust: TrustRule,
  now: Date,
): Promise<string[]> {
  const { release_id } = rollout;
  if (release_id === null) return [];
  const versionsInUse = await listVersionsInUse(sql, rollout.device_model);
  const steppingStones = await loadSteppingStones(sql, rollout, trust, now);
  const counters = await loadCounters(sql, rollout, trust);
  const releases = releasesFor({ rollout: { ...rollout, release_id }, versionsInUse, steppingStones, counters });
  return releases.flatMap(({ fromVersions }) => fromVersions);
}

interface Choice extends Pick<RolloutContext, 'versionsInUse' | 'steppingStones' | 'counters'> {
  readonly rollout: RolloutRuntime & { readonly release_id: ReleaseId };
}

function releasesFor({ rollout, versionsInUse, steppingStones, counters }: Choice): AssignableRelease[] {
  const target = { id: rollout.release_id, version: rollout.firmware_version, min_version: rollout.min_version };
  const { allow_downgrade: allowDowngrade, include_unknown: includeUnknown } = rollout;
  return chooseReleases(versionsInUse, target, steppingStones, { allowDowngrade, includeUnknown, counters });
}

/** @returns how many devices were assigned, and the context with the new state of the scan */
async function assign(
  sql: Sql,
  context: RolloutContext,
  releases: readonly AssignableRelease[],
  now: Date,
): Promise<{ assigned: number; context: RolloutContext }> {
  const { rollout } = context;
  const fromVersions = context.versionsInUse.filter((inUse) => runsRelease(inUse, rollout.firmware_version));
  const what = { releases, onTarget: { version: rollout.firmware_version, fromVersions } };
  const initial = scanStateOf(rollout, context.steppingStones, now);
  // Another hold begins a new scan, and so does each day, in which devices may have joined a held group.
  if (rollout.holds_digest !== '' && initial.fingerprint !== rollout.scan_fingerprint) {
    await recordHolds(sql, context, releases, now);
  }
  const { assigned, scan } = await assignByScan(sql, context, what, initial, now);
  const columns = {
    scan_fingerprint: scan.fingerprint,
    scan_cursor: scan.cursor,
    changes_from_xid: scan.changesSince,
  };
  return { assigned, context: { ...context, rollout: { ...rollout, ...columns } } };
}

/** @returns how many more devices were assigned because a new stage started */
async function carryOut(
  sql: Sql,
  context: RolloutContext,
  releases: readonly AssignableRelease[],
  decision: RolloutDecision,
  now: Date,
): Promise<number> {
  const { rollout } = context;
  if (decision.kind === 'halt') {
    await halt(sql, rollout, decision.reason, now);
    return 0;
  }
  if (context.plan.stages !== null)
    await recordGate(sql, rollout, isGateMet(decision) ? (rollout.gate_held_since ?? now) : null);
  // While the service is held, no stage begins and none takes in more devices.
  if (rollout.service_hold !== null) return 0;
  if (decision.kind !== 'advance' && decision.kind !== 'extend') return 0;
  const next =
    decision.kind === 'advance'
      ? await enterStage(sql, context, decision.stage, decision.size, now)
      : await extend(sql, context, decision.devices, decision.reason, now);
  return next === undefined ? 0 : (await assign(sql, next, releases, now)).assigned;
}

/**
 * Completes the rollout if no device is left that it may still have to update. Waits for the probation time after the
 * start of the stage, so that a device that has just registered has time to report its version.
 */
async function finish(
  sql: Sql,
  context: RolloutContext,
  releases: readonly AssignableRelease[],
  now: Date,
): Promise<boolean> {
  const { rollout } = context;
  if (rollout.scan_cursor !== null) return false;
  if (rollout.keep_open || rollout.has_open || rollout.stage_began_at === null) return false;
  if (now.getTime() < rollout.stage_began_at.getTime() + rollout.probation_minutes * 60_000) return false;
  for (const release of releases) if (await hasAssignable(sql, context, release, rollout.horizon)) return false;
  const { recovers, versions } = context.target;
  if (recovers !== null && !(await assignRest(sql, rollout, recovers, versions ?? [], now))) return false;
  return completeRollout(sql, rollout.id, rollout.updated_at, now);
}
