import * as z from 'zod';
import type { RowOf } from '../db/index.ts';
import {
  describeHeldDevice,
  describeHoldEnd,
  describeIssue,
  describeIssueEnd,
  type HoldFacts,
  type IssueFacts,
  nextOpening,
  parsePlan,
  UPDATE_STATES,
} from '../policy/index.ts';
import { runsRelease } from '../protocol/index.ts';
import type { RolloutRuntime } from '../rollouts/index.ts';
import type { FullValue } from '../updates/index.ts';
import { stateOf } from './rollout-status-text.ts';

/** Why a device is, or is not, on a rollout's version: the rule that applies, since when, and what happens next. */
export interface Explanation {
  readonly rule: string;
  readonly since: Date | null;
  readonly next: string;
}

export const updateFacts = z.object({
  status: z.enum(UPDATE_STATES),
  attempt: z.int(),
  firmware_version: z.string(),
  is_stepping_stone: z.boolean(),
  failed_before: z.boolean(),
  /** True if its rollout may assign the device again. */
  is_reclaimable: z.boolean(),
  error_message: z.string().nullable(),
  created_at: z.string(),
  sent_at: z.string().nullable(),
  reported_at: z.string().nullable(),
  booted_at: z.string().nullable(),
  completed_at: z.string().nullable(),
  deadline_at: z.string().nullable(),
  not_before: z.string().nullable(),
  enqueue_after: z.string().nullable(),
  unreachable_since: z.string().nullable(),
  late_success_at: z.string().nullable(),
  late_rollback_at: z.string().nullable(),
  unverified_at: z.string().nullable(),
  counts_as_started: z.boolean(),
  max_attempts: z.int(),
});

/** A device update; times are text as formatted by `to_jsonb`. */
export type UpdateFacts = RowOf<typeof updateFacts>;

const FAILED_BEFORE = 'It failed in its last rollout, too, which others finished, so it does not count in the gates';
export const ENDED = 'nothing: an aborted rollout does not continue';

/** A recovery cancels an update for good; a stop cancels it until the rollout is resumed. */
const afterCancel = ({ is_reclaimable }: UpdateFacts) =>
  is_reclaimable
    ? 'nothing, unless the rollout is resumed'
    : 'nothing: this rollout does not send it the version again';

export const toDate = (time: string | null) => (time === null ? null : new Date(time));
export const at = (time: Date | string | null) => (time === null ? 'an unknown time' : new Date(time).toISOString());

interface KeptBy {
  readonly holds?: readonly HoldFacts[];
  readonly issue?: IssueFacts | undefined;
  readonly full?: FullValue | undefined;
}

/**
 * Explains the state of a device that the rollout has assigned.
 * @param current the version that the device reports now
 * @param kept what keeps a pending update from being sent
 */
export function explainUpdate(
  update: UpdateFacts,
  current: string,
  rollout: RolloutRuntime,
  now: Date,
  kept: KeptBy = {},
): Explanation {
  const { status, firmware_version: version, error_message: reason, attempt } = update;
  const what = update.is_stepping_stone ? `${version}, the stepping stone to ${rollout.firmware_version}` : version;
  if (update.unverified_at !== null) {
    const rule = `runs ${version}, although it reported that the verification of the image failed: unverified bytes are running`;
    return {
      rule,
      since: toDate(update.unverified_at),
      next: 'nothing, until another version is sent to it: recover it',
    };
  }
  if (update.late_success_at !== null) {
    const rule = `${status.replace('_', ' ')} (${reason}), but it runs ${version} now: a late success`;
    return { rule, since: toDate(update.late_success_at), next: 'nothing: it does not count as a failure' };
  }
  if (update.late_rollback_at !== null) {
    const rule = `proved ${version} at ${at(update.completed_at)} and has left it since: a late rollback`;
    return { rule, since: toDate(update.late_rollback_at), next: 'nothing, unless a rollout targets it again' };
  }
  if (status === 'success' && update.completed_at !== null) {
    const next = update.is_stepping_stone ? `it continues to ${rollout.firmware_version}` : 'nothing: done';
    return { rule: `runs ${what}`, since: toDate(update.booted_at ?? update.completed_at), next };
  }
  if (status === 'canceled' && update.booted_at === null && runsRelease(current, rollout.firmware_version)) {
    const rule = `runs ${current}, which it did not get from this rollout: ${reason}`;
    return { rule, since: toDate(update.completed_at), next: 'nothing: done' };
  }
  if (update.completed_at !== null) {
    const next = status === 'canceled' ? afterCancel(update) : 'nothing, unless failed devices are retried';
    return {
      rule: `${status.replace('_', ' ')} in attempt ${attempt}: ${reason}${update.failed_before ? `. ${FAILED_BEFORE}` : ''}`,
      since: toDate(update.completed_at),
      next: rollout.aborted_at === null ? next : ENDED,
    };
  }
  if (status === 'pending') return explainPending(update, what, rollout, now, kept);
  const since = toDate(update.reported_at ?? update.sent_at);
  if (status === 'success' && update.booted_at !== null) {
    return {
      rule: `is on probation with ${what}`,
      since: toDate(update.booted_at),
      next: `proven by its first status after the probation; without one it counts as silent at ${at(update.deadline_at)}`,
    };
  }
  if (status === 'success') {
    const next = `it must report ${version} by ${at(update.deadline_at)}, or the update counts as failed`;
    return { rule: `has installed ${what} and must show that it boots`, since, next };
  }
  const doing = status === 'sent' ? `was sent ${what}` : `is ${status} ${what}`;
  return {
    rule: `${doing} (attempt ${attempt} of ${update.max_attempts})`,
    since,
    next: `without further reports the attempt ends at ${at(update.deadline_at)}`,
  };
}

function explainPending(
  update: UpdateFacts,
  what: string,
  rollout: RolloutRuntime,
  now: Date,
  { holds = [], issue, full }: KeptBy,
): Explanation {
  const { attempt, error_message: reason, created_at, not_before, enqueue_after, unreachable_since } = update;
  const owed =
    attempt === 0 ? `has a pending update to ${what}` : `has a pending retry of ${what} after attempt ${attempt}`;
  const pending = reason === null || unreachable_since !== null ? owed : `${owed}; last: ${reason}`;
  if (issue !== undefined) {
    const rule = `${pending}, and ${describeIssue(issue)}`;
    return { rule, since: toDate(created_at), next: describeIssueEnd(issue) };
  }
  if (holds.length > 0) {
    const rule = `${pending} and ${describeHeldDevice(holds)}`;
    return { rule, since: toDate(created_at), next: `it is sent ${describeHoldEnd(holds)}` };
  }
  if (not_before !== null && new Date(not_before) > now) {
    return { rule: pending, since: toDate(created_at), next: `it is sent at ${at(not_before)} or soon after` };
  }
  if (reason !== null && unreachable_since === null && enqueue_after !== null && new Date(enqueue_after) > now) {
    const next = `it is sent again at ${at(enqueue_after)}, or when the device reports; given up at ${at(update.deadline_at)}`;
    return { rule: pending, since: toDate(created_at), next };
  }
  if (unreachable_since !== null) {
    const next = `it is sent as soon as the device reports; given up at ${at(update.deadline_at)}`;
    return { rule: `${pending}, and is not connected`, since: toDate(unreachable_since), next };
  }
  return { rule: pending, since: toDate(created_at), next: explainWait(update, rollout, now, full) };
}

function explainWait(
  { counts_as_started }: UpdateFacts,
  rollout: RolloutRuntime,
  now: Date,
  full: FullValue | undefined,
): string {
  const plan = parsePlan(rollout);
  if (plan.ok && plan.value.sendWindow !== null && rollout.sends_until !== null && rollout.sends_until <= now) {
    return `it is sent when the send window opens, at ${at(nextOpening(plan.value.sendWindow, now))}`;
  }
  const { start_limit: allowed, started_count: starts } = rollout;
  if (allowed !== null && !counts_as_started && starts >= allowed) {
    return `it waits for its turn: the slow start has let ${starts} ${starts === 1 ? 'device' : 'devices'} start, and is ${stateOf(rollout, now)}`;
  }
  if (full !== undefined) {
    const { attribute, value, in_flight: inFlight, max } = full;
    return `it waits for room at ${attribute} ${value}: ${inFlight} of its devices ${inFlight === 1 ? 'has' : 'have'} an update in flight, and the rollout allows ${max}`;
  }
  return 'it is sent at once, or as soon as the limits of the rollout leave room';
}
