import {
  type ControlGroup,
  describeEvidence,
  exceedsThreshold,
  isOutage,
  isUndecided,
  lowerBound,
  type ReleaseEvidence,
  reachesCount,
} from './release-evidence.ts';
import type { HealthHalt } from './release-health.ts';
import type { Stage } from './rollout-plan.ts';

export interface Gates {
  /** Share of failures that halts the rollout once it is exceeded with confidence, 0 to 1. */
  readonly failureThreshold: number;
  /** Number of failures that halts it whatever their share; null: none does. */
  readonly failureCount: number | null;
  /** Proven devices before the first wave grows. */
  readonly minReports: number;
  /** True for a recovery: whatever fails, the other devices are better off without the release that they run. */
  readonly neverHalts?: boolean;
}

/** An active rollout at one instant. The evidence is of its own release, not of its stepping stones. */
export interface RolloutNumbers {
  readonly stage: number;
  readonly stageBeganAt: Date;
  /** True if the present stage includes every target. */
  readonly reachesAll: boolean;
  /** Devices that the present stage was made for; in a slow start: how many may be under way at the same time. */
  readonly size: number;
  /** Devices that the present stage added and that could be updated when it began. */
  readonly sample: number;
  /** True if the present stage added no such device. */
  readonly isEmpty: boolean;
  readonly gateHeldSince: Date | null;
  readonly ofStage: ReleaseEvidence;
  readonly total: ReleaseEvidence;
  readonly steppingStones: readonly { readonly version: string; readonly evidence: ReleaseEvidence }[];
  readonly control: ControlGroup;
  /** True if devices within reach have yet to be sent to, or to end. */
  readonly isUnderWay: boolean;
  readonly startedCount: number;
  /** Null: no limit, since it is not a slow start. */
  readonly startLimit: number | null;
  /** The third version that most devices reported after the install. */
  readonly unexpected: { readonly version: string; readonly devices: number } | null;
}

export type HaltReason =
  | 'embedded version'
  | 'failure count'
  | 'failure share'
  | 'stage'
  | 'delivery'
  | 'plan'
  | 'value'
  | HealthHalt['code'];

export interface Halt {
  readonly code: HaltReason;
  readonly reason: string;
  /** The stepping stone whose outcomes halt the rollout; undefined: its own release. */
  readonly steppingStone?: string;
}

export type RolloutDecision =
  | ({ readonly kind: 'halt' } & Halt)
  /** The next stage begins; in a slow start: a wave of `size` devices, null for the first. */
  | { readonly kind: 'advance'; readonly stage: number; readonly size: number | null }
  /** The present stage takes that many more devices, the next in order. */
  | { readonly kind: 'extend'; readonly devices: number; readonly reason: string }
  | { readonly kind: 'soak'; readonly until: Date }
  | { readonly kind: 'hold'; readonly waitingFor: string }
  /** The next stage begins only once a person advances the rollout. */
  | { readonly kind: 'person'; readonly because: string }
  /** The plan has no further stage: the rollout completes once every target has ended. */
  | { readonly kind: 'finish' };

/** Two devices that agree are not an accident. */
const AGREEING_DEVICES = 2;
/** Members of a stage that are busy or out of reach are replaced after this time. */
export const REPLACE_AFTER_HOURS = 24;
/** A network that lets fewer than half of the devices fetch the image is a problem of its own. */
const DELIVERY_THRESHOLD = 0.5;
const FEWEST_UNDELIVERED = 5;

/** Decides the next step of an active rollout. Pure: the same numbers give the same decision. */
export function decideRollout(
  numbers: RolloutNumbers,
  gates: Gates,
  stages: readonly Stage[] | null,
  now: Date,
): RolloutDecision {
  const outage = gates.neverHalts ? undefined : findOutage(numbers);
  const halt = gates.neverHalts
    ? undefined
    : findReasonToHalt(outage === undefined ? numbers : withoutSilence(numbers), gates);
  if (halt !== undefined) return { kind: 'halt', ...halt };
  if (outage !== undefined) return { kind: 'hold', waitingFor: outage };
  return stages === null ? decideSlowStart(numbers, gates) : decideStage(numbers, stages, now);
}

/** Says what an outage is suspected from; undefined if devices outside the rollout report as usual. */
function findOutage({ total, steppingStones, control }: RolloutNumbers): string | undefined {
  const silent = steppingStones.reduce((sum, { evidence }) => sum + evidence.silent, total.silent);
  if (silent === 0 || !isOutage(control)) return undefined;
  const { devices, silent: others } = control;
  return `silent devices to return: site or cloud outage suspected, because ${others} of ${devices} devices outside the rollout fell silent, too`;
}

/** The numbers without the silence of devices, which says nothing during an outage. */
const withoutSilence = (numbers: RolloutNumbers): RolloutNumbers => ({
  ...numbers,
  total: { ...numbers.total, silent: 0 },
  steppingStones: numbers.steppingStones.map(({ version, evidence }) => ({
    version,
    evidence: { ...evidence, silent: 0 },
  })),
});

function findReasonToHalt(
  { total, steppingStones, control, unexpected }: RolloutNumbers,
  gates: Gates,
): Halt | undefined {
  // Once a device has proven the version that the release names, another name comes from something else.
  if (unexpected !== null && unexpected.devices >= AGREEING_DEVICES && total.proven === 0) {
    const reason = `the image embeds version ${unexpected.version}: ${unexpected.devices} devices installed it and report that version`;
    return { code: 'embedded version', reason };
  }
  return (
    checkRelease(total, control, gates, '') ??
    steppingStones
      .flatMap(({ version, evidence }) => {
        const halt = checkRelease(evidence, control, gates, `stepping stone ${version}: `);
        return halt === undefined ? [] : { ...halt, steppingStone: version };
      })
      .at(0)
  );
}

function checkRelease(
  evidence: ReleaseEvidence,
  control: ControlGroup,
  gates: Gates,
  prefix: string,
): Halt | undefined {
  const { failureThreshold, failureCount } = gates;
  if (reachesCount(evidence, control, failureCount)) {
    const reason = `${prefix}${describeEvidence(evidence)}; the rollout allows fewer than ${failureCount}`;
    return { code: 'failure count', reason };
  }
  if (exceedsThreshold(evidence, control, failureThreshold)) {
    const reason = `${prefix}${describeEvidence(evidence)}; the rollout allows ${percent(failureThreshold)}`;
    return { code: 'failure share', reason };
  }
  const { undelivered, proven, underWay } = evidence;
  const tried = undelivered + proven + underWay;
  if (undelivered >= FEWEST_UNDELIVERED && lowerBound(undelivered, tried) > DELIVERY_THRESHOLD) {
    const reason = `${prefix}${undelivered} of ${tried} devices could not fetch the image. This is a matter of the network, not of the build`;
    return { code: 'delivery', reason };
  }
  return undefined;
}

/** A wave is the number of devices that may be under way at the same time. It doubles once it has proven as many. */
function decideSlowStart(numbers: RolloutNumbers, { minReports, failureThreshold }: Gates): RolloutDecision {
  const { stage, size, startedCount, startLimit, reachesAll, total } = numbers;
  // The stages were removed while the rollout ran.
  if (startLimit === null) return { kind: 'advance', stage: stage + 1, size: null };
  if (startedCount < startLimit) {
    // The share was raised since the wave began.
    return reachesAll ? { kind: 'finish' } : { kind: 'advance', stage: stage + 1, size };
  }
  if (isUndecided(total, failureThreshold)) {
    return { kind: 'hold', waitingFor: `more outcomes: ${describeEvidence(total)}, so the wave does not grow` };
  }
  if (total.proven >= Math.max(size, minReports)) return { kind: 'advance', stage: stage + 1, size: size * 2 };
  const waiting = `${total.underWay} ${total.underWay === 1 ? 'device' : 'devices'} of this wave to end`;
  return { kind: 'hold', waitingFor: waiting };
}

function decideStage(numbers: RolloutNumbers, stages: readonly Stage[], now: Date): RolloutDecision {
  if (numbers.startLimit !== null) return endSlowStart(numbers, stages);
  const { ofStage, control, isUnderWay, gateHeldSince, sample, isEmpty, reachesAll } = numbers;
  const index = Math.min(numbers.stage, stages.length - 1);
  const stage = stages[index] as Stage;
  const allowed = 1 - stage.minSuccessRate;
  if (exceedsThreshold(ofStage, control, allowed)) {
    return haltStage(`stage ${index + 1}: ${describeEvidence(ofStage)}; the stage allows ${percent(allowed)}`);
  }
  const group = 'group' in stage.reach ? stage.reach.group : null;
  if (group !== null && isEmpty && !reachesAll) {
    return {
      kind: 'person',
      because: `no device of group ${group} could be updated, so nothing is known of the build`,
    };
  }
  const outcomes = ofStage.proven + ofStage.failed + ofStage.silent;
  const missing = Math.min(stage.minReports, sample) - outcomes;
  if (missing > 0) return waitForSample(numbers, missing, group, now);
  if (isUnderWay) return { kind: 'hold', waitingFor: 'devices within reach to end' };
  const bad = ofStage.failed + ofStage.silent;
  if (bad > allowed * outcomes && !(reachesAll && index === stages.length - 1)) {
    if (bad >= AGREEING_DEVICES) {
      return haltStage(
        `stage ${index + 1} ended with ${describeEvidence(ofStage)}; the stage allows ${percent(allowed)}`,
      );
    }
    // No device is left that could decide it.
    if (reachesAll) return { kind: 'finish' };
    if (group !== null) return { kind: 'person', because: 'one device failed, which decides nothing' };
    return {
      kind: 'extend',
      devices: Math.max(1, stage.minReports),
      reason: 'one device failed, which decides nothing',
    };
  }
  const until = new Date((gateHeldSince ?? now).getTime() + stage.soakMinutes * 60_000);
  if (now < until) return { kind: 'soak', until };
  // Stages may have been removed while it ran: the last of them may not have begun.
  const isLast = index === stages.length - 1 && reachesAll;
  if (isLast) return { kind: 'finish' };
  return stage.waitsForPerson
    ? { kind: 'person', because: 'its stage has met its gate' }
    : { kind: 'advance', stage: numbers.stage + 1, size: null };
}

const haltStage = (reason: string): RolloutDecision => ({ kind: 'halt', code: 'stage', reason });

/**
 * A stage needs its sample from its own devices. Those that cannot give it are replaced by the next in order; members of
 * a group are not replaced.
 */
function waitForSample(
  { isUnderWay, stageBeganAt, reachesAll }: RolloutNumbers,
  missing: number,
  group: string | null,
  now: Date,
): RolloutDecision {
  if (reachesAll && !isUnderWay) return { kind: 'finish' };
  const replaceAt = stageBeganAt.getTime() + REPLACE_AFTER_HOURS * 3_600_000;
  if (group === null && !isUnderWay && !reachesAll && now.getTime() >= replaceAt) {
    const reason = `devices of this stage were busy or out of reach for ${REPLACE_AFTER_HOURS} h`;
    return { kind: 'extend', devices: missing, reason };
  }
  const of = group === null ? '' : ` of group ${group}`;
  return { kind: 'hold', waitingFor: `${missing} more ${missing === 1 ? 'outcome' : 'outcomes'}${of}` };
}

/** A slow start that was given stages while it ran. Its waves have assigned every target: no smaller stage is left. */
function endSlowStart({ stage }: RolloutNumbers, stages: readonly Stage[]): RolloutDecision {
  if (stages.length === 1) return { kind: 'advance', stage: stage + 1, size: null };
  const reason =
    'a rollout that started slowly cannot be given stages; [] lets every device begin, null keeps the slow start';
  return { kind: 'halt', code: 'plan', reason };
}

/** True from the soak of the present stage on: its gate holds. */
export const isGateMet = ({ kind }: RolloutDecision): boolean =>
  kind === 'soak' || kind === 'person' || kind === 'advance' || kind === 'finish';

/** The decision as a phrase, such as "waiting for 3 more outcomes". */
export function describeDecision(decision: RolloutDecision): string {
  if (decision.kind === 'halt') return `halted: ${decision.reason}`;
  if (decision.kind === 'hold') return `waiting for ${decision.waitingFor}`;
  if (decision.kind === 'person') return `waiting for a person to advance it: ${decision.because}`;
  if (decision.kind === 'soak') return `soaking until ${decision.until.toISOString()}`;
  if (decision.kind === 'extend') return `${decision.devices} more devices take part in this stage: ${decision.reason}`;
  return decision.kind === 'advance' ? `stage ${decision.stage + 1} begins` : 'active';
}

const percent = (share: number) => `${Number((share * 100).toFixed(1))}%`;
