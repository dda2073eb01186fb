import type { Stage } from './rollout-plan.ts';

/** Outcomes of the device updates of a stage, or of all stages since the rollout started or was resumed. */
export interface StageCounts {
  readonly assigned: number;
  readonly succeeded: number;
  /** Failed, rolled back, timed out, or went silent. */
  readonly failed: number;
  /** Like `failed`, but a failed verification counts twice. */
  readonly failurePoints: number;
  /** Outcomes that say nothing about the firmware: canceled, never reached, late success. */
  readonly canceled: number;
}

export interface Gates {
  /** Share of failure points that halts the rollout when exceeded, 0 to 1. */
  readonly failureThreshold: number;
  /** Failure points that halt the rollout whatever their share; null: no limit. */
  readonly failureCount: number | null;
  readonly minReports: number;
}

/** The numbers that decide what an active rollout does next. */
export interface RolloutNumbers {
  readonly stage: number;
  /** True if the current stage reaches every targeted device. */
  readonly reachesAll: boolean;
  /** Slow start only: the number of devices that may start in the current wave. */
  readonly size: number;
  readonly gateHeldSince: Date | null;
  readonly ofStage: StageCounts;
  readonly total: StageCounts;
  /** True while a device that the stage reaches has not been sent to or has not finished. */
  readonly isUnderWay: boolean;
  readonly startedCount: number;
  readonly finishedCount: number;
  /** Null: no limit, because this is not a slow start. */
  readonly startLimit: number | null;
  /** The version that most devices reported after installing the image, if it is neither the new nor the old one. */
  readonly unexpected: { readonly version: string; readonly devices: number } | null;
}

export type RolloutDecision =
  | { readonly kind: 'halt'; readonly reason: string }
  /** The next stage starts. For a slow start, a wave of `size` more devices; null: the first wave. */
  | { readonly kind: 'advance'; readonly stage: number; readonly size: number | null }
  | { readonly kind: 'soak'; readonly until: Date }
  | { readonly kind: 'hold'; readonly waitingFor: string }
  /** The plan is done: the rollout completes once all devices have finished. */
  | { readonly kind: 'finish' };

/** Two devices that report the same unexpected version are not a coincidence. */
const AGREEING_DEVICES = 2;

/** Decides what an active rollout does next. Pure: the same numbers give the same decision. */
export function decideRollout(
  numbers: RolloutNumbers,
  gates: Gates,
  stages: readonly Stage[] | null,
  now: Date,
): RolloutDecision {
  const reason = reasonToHalt(numbers, gates);
  if (reason !== undefined) return { kind: 'halt', reason };
  return stages === null ? decideSlowStart(numbers, gates) : decideStage(numbers, stages, now);
}

function reasonToHalt({ total, unexpected }: RolloutNumbers, gates: Gates): string | undefined {
  const { failureThreshold, failureCount, minReports } = gates;
  if (unexpected !== null && unexpected.devices >= Math.min(AGREEING_DEVICES, countable(total))) {
    return `the image embeds the version ${unexpected.version}: ${unexpected.devices} devices installed it and report that version`;
  }
  if (failureCount !== null && total.failurePoints >= failureCount) {
    return `${describeFailures(total)}; the rollout allows fewer than ${failureCount}`;
  }
  if (reports(total) >= requiredReports(total, minReports) && failureShare(total) > failureThreshold) {
    return `${describeFailures(total)}, which is ${percent(failureShare(total))}; the rollout allows ${percent(failureThreshold)}`;
  }
  return undefined;
}

/** A wave must have finished before the next one starts. Waves grow only after enough results. */
function decideSlowStart(numbers: RolloutNumbers, { minReports }: Gates): RolloutDecision {
  const { stage, size, startedCount, finishedCount, startLimit, reachesAll, total } = numbers;
  // The stages of the rollout were removed while it ran.
  if (startLimit === null) return { kind: 'advance', stage: stage + 1, size: null };
  if (startedCount < startLimit) {
    // More devices are targeted now than when the wave started.
    return reachesAll ? { kind: 'finish' } : { kind: 'advance', stage: stage + 1, size: startLimit - startedCount };
  }
  const running = startedCount - finishedCount;
  // Includes devices of earlier waves that are being retried.
  const waitingCount = running <= size ? `${running} of ${size}` : running;
  if (running > 0)
    return {
      kind: 'hold',
      waitingFor: `${waitingCount} ${waitingCount === 1 ? 'device' : 'devices'} of this wave to finish`,
    };
  const grows = reports(total) >= requiredReports(total, minReports);
  return { kind: 'advance', stage: stage + 1, size: grows ? size * 2 : size };
}

function decideStage(numbers: RolloutNumbers, stages: readonly Stage[], now: Date): RolloutDecision {
  const { ofStage, isUnderWay, gateHeldSince } = numbers;
  if (numbers.startLimit !== null) return endSlowStart(numbers, stages);
  const index = Math.min(numbers.stage, stages.length - 1);
  const stage = stages[index] as Stage;
  const best = { ...ofStage, succeeded: Math.max(ofStage.succeeded, countable(ofStage) - ofStage.failed) };
  if (successRate(best) < stage.minSuccessRate) {
    return {
      kind: 'halt',
      reason: `${describeFailures(ofStage)}: stage ${index + 1} cannot reach ${percent(stage.minSuccessRate)} success`,
    };
  }
  const required = requiredReports(ofStage, stage.minReports);
  if (reports(ofStage) < required) return { kind: 'hold', waitingFor: moreOutcomes(required - reports(ofStage)) };
  if (isUnderWay) return { kind: 'hold', waitingFor: 'devices in this stage to finish' };
  if (successRate(ofStage) < stage.minSuccessRate) {
    return {
      kind: 'hold',
      waitingFor: `${percent(stage.minSuccessRate)} success; it is ${percent(successRate(ofStage))}`,
    };
  }
  const until = new Date((gateHeldSince ?? now).getTime() + stage.soakMinutes * 60_000);
  if (now < until) return { kind: 'soak', until };
  // Stages may have been removed while the rollout ran, so the last one may not have started.
  const isLast = index === stages.length - 1 && numbers.reachesAll;
  return isLast ? { kind: 'finish' } : { kind: 'advance', stage: numbers.stage + 1, size: null };
}

/**
 * A slow start that was given stages while it ran. Its waves already have the cutoff of all targeted devices, so a
 * smaller stage is impossible.
 */
function endSlowStart({ stage }: RolloutNumbers, stages: readonly Stage[]): RolloutDecision {
  if (stages.length === 1) return { kind: 'advance', stage: stage + 1, size: null };
  const reason =
    'a rollout with a slow start cannot be given stages; [] updates all devices at once, null continues the slow start';
  return { kind: 'halt', reason };
}

/** True if the gate of the current stage is met: the stage soaks, or the rollout advances or finishes. */
export const isGateMet = ({ kind }: RolloutDecision): boolean =>
  kind === 'soak' || kind === 'advance' || kind === 'finish';

/** The decision as a phrase, for example "waiting for 3 more outcomes". */
export function describeDecision(decision: RolloutDecision): string {
  if (decision.kind === 'halt') return `halted: ${decision.reason}`;
  if (decision.kind === 'hold') return `waiting for ${decision.waitingFor}`;
  if (decision.kind === 'soak') return `soaking until ${decision.until.toISOString()}`;
  return decision.kind === 'advance' ? `stage ${decision.stage + 1} starts` : 'active';
}

const moreOutcomes = (count: number) => `${count} more outcome${count === 1 ? '' : 's'}`;

const reports = ({ succeeded, failed }: StageCounts) => succeeded + failed;

/** Results that are in, plus those that can still be expected. */
const countable = ({ assigned, canceled }: StageCounts) => assigned - canceled;

/** A stage with fewer devices than `minReports` is evaluated by the devices that it has. */
const requiredReports = (counts: StageCounts, minReports: number) => Math.min(minReports, countable(counts));

const failureShare = ({ succeeded, failurePoints }: StageCounts) =>
  failurePoints === 0 ? 0 : failurePoints / (succeeded + failurePoints);

const successRate = ({ succeeded, failurePoints }: StageCounts) =>
  failurePoints === 0 ? 1 : succeeded / (succeeded + failurePoints);

function describeFailures(counts: StageCounts): string {
  const doubled = counts.failurePoints - counts.failed;
  const note = doubled === 0 ? '' : ` (${doubled} failed verification and count twice)`;
  return `${counts.failed} of ${reports(counts)} devices failed${note}`;
}

const percent = (share: number) => `${Number((share * 100).toFixed(1))}%`;
