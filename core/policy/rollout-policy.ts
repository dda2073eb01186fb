import type { Stage } from './rollout-plan.ts';

/** What became of the device updates of a stage, or of all stages since the rollout began or was resumed. */
export interface StageCounts {
  readonly assigned: number;
  readonly succeeded: number;
  /** Failed, rolled back, timed out, silent. */
  readonly failed: number;
  /** As `failed`, a failed verification counted doubled. */
  readonly failurePoints: number;
  /** What says nothing about the firmware: canceled, never reached, succeeded after all. */
  readonly canceled: number;
}

export interface Gates {
  /** Share of failure points that halts the rollout when exceeded, 0 to 1. */
  readonly failureThreshold: number;
  /** Failure points that halt it whatever their share; null: none do. */
  readonly failureCount: number | null;
  readonly minReports: number;
}

/** An active rollout at one instant. */
export interface RolloutNumbers {
  readonly stage: number;
  /** Whether the present stage reaches every member. */
  readonly reachesAll: boolean;
  /** Of a slow start: how many devices may begin in the present window. */
  readonly size: number;
  readonly gateHeldSince: Date | null;
  readonly ofStage: StageCounts;
  readonly total: StageCounts;
  /** Devices within reach have yet to be sent to, or to end. */
  readonly isUnderWay: boolean;
  readonly startedCount: number;
  readonly finishedCount: number;
  /** Null: no limit, since it is no slow start. */
  readonly startLimit: number | null;
  /** The version that most devices reported after writing the image, where it is neither the new nor the old one. */
  readonly unexpected: { readonly version: string; readonly devices: number } | null;
}

export type RolloutDecision =
  | { readonly kind: 'halt'; readonly reason: string }
  /** The next stage begins; of a slow start: with a window of `size` more devices, null for the first. */
  | { readonly kind: 'advance'; readonly stage: number; readonly size: number | null }
  | { readonly kind: 'soak'; readonly until: Date }
  | { readonly kind: 'hold'; readonly waitingFor: string }
  /** Nothing of the plan is left: complete once every member has ended. */
  | { readonly kind: 'finish' };

/** Two devices that agree are no accident. */
const AGREEING_DEVICES = 2;

/** What an active rollout does next. Pure; the same numbers give the same decision. */
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
    return `the image calls itself ${unexpected.version}: ${unexpected.devices} devices wrote it and report that version`;
  }
  if (failureCount !== null && total.failurePoints >= failureCount) {
    return `${describeFailures(total)}; the rollout allows fewer than ${failureCount}`;
  }
  if (reports(total) >= requiredReports(total, minReports) && failureShare(total) > failureThreshold) {
    return `${describeFailures(total)}, which is ${percent(failureShare(total))}; the rollout allows ${percent(failureThreshold)}`;
  }
  return undefined;
}

/** Each window must have ended before the next begins; it grows only on evidence. */
function decideSlowStart(numbers: RolloutNumbers, { minReports }: Gates): RolloutDecision {
  const { stage, size, startedCount, finishedCount, startLimit, reachesAll, total } = numbers;
  // Its stages were taken away while it ran.
  if (startLimit === null) return { kind: 'advance', stage: stage + 1, size: null };
  if (startedCount < startLimit) {
    // More members take part than when the window began.
    return reachesAll ? { kind: 'finish' } : { kind: 'advance', stage: stage + 1, size: startLimit - startedCount };
  }
  const running = startedCount - finishedCount;
  // Those of windows before that are tried again are among them.
  const waitingCount = running <= size ? `${running} of ${size}` : running;
  if (running > 0)
    return {
      kind: 'hold',
      waitingFor: `${waitingCount} ${waitingCount === 1 ? 'device' : 'devices'} of this window to end`,
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
  if (isUnderWay) return { kind: 'hold', waitingFor: 'devices within reach to end' };
  if (successRate(ofStage) < stage.minSuccessRate) {
    return {
      kind: 'hold',
      waitingFor: `${percent(stage.minSuccessRate)} success; it is ${percent(successRate(ofStage))}`,
    };
  }
  const until = new Date((gateHeldSince ?? now).getTime() + stage.soakMinutes * 60_000);
  if (now < until) return { kind: 'soak', until };
  // Stages may have been taken away while it ran: the last of them may not have begun.
  const isLast = index === stages.length - 1 && numbers.reachesAll;
  return isLast ? { kind: 'finish' } : { kind: 'advance', stage: numbers.stage + 1, size: null };
}

/** A slow start that was given stages while it ran. Its windows have claimed every member: there is no smaller stage now. */
function endSlowStart({ stage }: RolloutNumbers, stages: readonly Stage[]): RolloutDecision {
  if (stages.length === 1) return { kind: 'advance', stage: stage + 1, size: null };
  const reason = 'a rollout that started slowly cannot be given stages; [] lets everyone begin, null goes on slowly';
  return { kind: 'halt', reason };
}

/** Whether the soak of the present stage runs: from then on its gate has held. */
export const isGateMet = ({ kind }: RolloutDecision): boolean =>
  kind === 'soak' || kind === 'advance' || kind === 'finish';

/** The decision as a phrase, such as "waitingCount for 3 more outcomes". */
export function describeDecision(decision: RolloutDecision): string {
  if (decision.kind === 'halt') return `halted: ${decision.reason}`;
  if (decision.kind === 'hold') return `waitingCount for ${decision.waitingFor}`;
  if (decision.kind === 'soak') return `soaking until ${decision.until.toISOString()}`;
  return decision.kind === 'advance' ? `stage ${decision.stage + 1} begins` : 'active';
}

const moreOutcomes = (count: number) => `${count} more outcome${count === 1 ? '' : 's'}`;

const reports = ({ succeeded, failed }: StageCounts) => succeeded + failed;

/** Outcomes that can still be expected, with those that are in. */
const countable = ({ assigned, canceled }: StageCounts) => assigned - canceled;

/** A stage with fewer devices than the required asks for is judged by those that it has. */
const requiredReports = (counts: StageCounts, minReports: number) => Math.min(minReports, countable(counts));

const failureShare = ({ succeeded, failurePoints }: StageCounts) =>
  failurePoints === 0 ? 0 : failurePoints / (succeeded + failurePoints);

const successRate = ({ succeeded, failurePoints }: StageCounts) =>
  failurePoints === 0 ? 1 : succeeded / (succeeded + failurePoints);

function describeFailures(counts: StageCounts): string {
  const doubled = counts.failurePoints - counts.failed;
  const note = doubled === 0 ? '' : ` (${doubled} failed verification and count doubled)`;
  return `${counts.failed} of ${reports(counts)} devices failed${note}`;
}

const percent = (share: number) => `${Number((share * 100).toFixed(1))} %`;
