/**
 * What a running rollout waits for: `proof` of devices before it may go on, or its `release`; or only for `devices` that
 * are out of reach or have yet to register, each of which has a deadline of its own; or for a `time` that is planned; or,
 * as planned, for a `person` to advance it.
 */
export type RolloutWait = 'proof' | 'release' | 'devices' | 'time' | 'person';

/** A device may take a day to report. */
const STALLED_HOURS = 24;
/** Devices in a drawer are normal; a rollout that waits for nothing else is named after a week. */
const LINGERING_HOURS = 7 * 24;

/** The age of the last movement from which a rollout that waits for this counts as stalled; null: it never does. */
export const stalledAfterHours = (wait: RolloutWait): number | null =>
  wait === 'time' ? null : wait === 'devices' ? LINGERING_HOURS : STALLED_HOURS;

/** True if the rollout has not moved for too long. @param movedAt when a stage began, a decision was made, or an update ended */
export function isStalled(wait: RolloutWait, movedAt: Date, now: Date): boolean {
  const hours = stalledAfterHours(wait);
  return hours !== null && now.getTime() - movedAt.getTime() >= hours * 3_600_000;
}

/** No rollout that moved later can be stalled. */
export const movedBefore = (now: Date): Date => new Date(now.getTime() - STALLED_HOURS * 3_600_000);

/** True if an alarm is due: the rollout cannot go on by itself. */
export const isBlocked = (wait: RolloutWait): boolean => wait === 'proof' || wait === 'release';
