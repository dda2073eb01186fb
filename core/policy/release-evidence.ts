/**
 * The outcomes of one release within one rollout, since it began or was resumed. A device counts from its first command
 * on. Failures of delivery, declined updates and devices that were not reached say nothing about the build and are in
 * none of its numbers but `undelivered`.
 */
export interface ReleaseEvidence {
  /** Sent to, and neither proven nor failed yet. Devices on probation are among them. */
  readonly underWay: number;
  readonly proven: number;
  /** Did not boot, rolled back, restarts, failed verification of the bytes that were sent. */
  readonly failed: number;
  /** Went silent: ended by silence, or begun and out of reach since. */
  readonly silent: number;
  /** Ended because the image could not be fetched. Not part of the exposure of the build. */
  readonly undelivered: number;
}

export const NO_EVIDENCE: ReleaseEvidence = { underWay: 0, proven: 0, failed: 0, silent: 0, undelivered: 0 };

/** From this number on, devices that failed before are evidence, if no other device has the release. */
const FEWEST_FAILED_BEFORE = 5;

/**
 * The evidence without the devices that failed in their last rollout, which others finished: their boards were broken
 * before. Where there are no other devices, theirs is the evidence there is.
 */
export function setApart(all: ReleaseEvidence, failedBefore: ReleaseEvidence): ReleaseEvidence {
  const others: ReleaseEvidence = {
    underWay: all.underWay - failedBefore.underWay,
    proven: all.proven - failedBefore.proven,
    failed: all.failed - failedBefore.failed,
    silent: all.silent - failedBefore.silent,
    undelivered: all.undelivered - failedBefore.undelivered,
  };
  const hasOthers = others.underWay + others.proven + others.failed + others.silent > 0;
  const ended = failedBefore.proven + failedBefore.failed + failedBefore.silent;
  return hasOthers || ended < FEWEST_FAILED_BEFORE ? others : all;
}

/** How often comparable devices that were not sent the release fell silent in the same time. */
export interface ControlGroup {
  readonly devices: number;
  readonly silent: number;
}

/**
 * Three standard deviations. A gate is read after every outcome, and each look is a chance for a false alarm: with 5% of
 * boards that were broken before, 200 devices and a threshold of 10%, one good build in 200 is halted.
 */
const CONFIDENCE_Z = 3;
/** One device is never enough: it may have been broken before. */
const FEWEST_FAILURES = 2;

/**
 * The lower end of the Wilson score interval for a share of `count` in `total`, 0 where nothing was observed.
 * @see https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval
 */
export function lowerBound(count: number, total: number, z = CONFIDENCE_Z): number {
  if (total === 0 || count === 0) return 0;
  const share = count / total;
  const square = (z * z) / total;
  const spread = z * Math.sqrt((share * (1 - share)) / total + square / (4 * total));
  return (share + square / 2 - spread) / (1 + square);
}

/** Silent devices beyond those that the control group's share explains; a power cut is not the build's. */
export function excessSilence({ underWay, proven, failed, silent }: ReleaseEvidence, control: ControlGroup): number {
  const exposed = underWay + proven + failed + silent;
  // One more than was seen, because a small control group without a silent device does not prove that none falls silent.
  const share = control.devices === 0 ? 0 : (control.silent + 1) / (control.devices + 1);
  return Math.max(0, silent - Math.ceil(share * exposed));
}

/** A share of silent devices outside the rollout above this, with confidence, is an outage of a site or of the cloud. */
const OUTAGE_SHARE = 0.2;

/** True if the silence of the release's devices proves nothing, because comparable devices fell silent, too. */
export const isOutage = ({ devices, silent }: ControlGroup): boolean => lowerBound(silent, devices) > OUTAGE_SHARE;

/**
 * The failures that count towards a halt. Devices under way count as if they would succeed, since failures are reported
 * in seconds and successes only after the probation.
 */
const counted = (evidence: ReleaseEvidence, control: ControlGroup) =>
  evidence.failed + excessSilence(evidence, control);

/** True if the share of failures is above the threshold with confidence, and not by a single device. */
export function exceedsThreshold(evidence: ReleaseEvidence, control: ControlGroup, threshold: number): boolean {
  const failures = counted(evidence, control);
  const { underWay, proven, failed, silent } = evidence;
  const total = underWay + proven + failed + silent;
  return failures >= FEWEST_FAILURES && lowerBound(failures, total) > threshold;
}

/**
 * True while the outcomes so far do not allow to widen: failures and silent devices are a larger share of what has ended
 * than the threshold. Silence needs no control group here, because waiting costs nothing but time.
 */
export function isUndecided({ proven, failed, silent }: ReleaseEvidence, threshold: number): boolean {
  const bad = failed + silent;
  return bad > 0 && bad > threshold * (proven + bad);
}

/** True if that many failures were counted, whatever their share. */
export const reachesCount = (evidence: ReleaseEvidence, control: ControlGroup, count: number | null): boolean =>
  count !== null && counted(evidence, control) >= count;

/** "3 of 10 devices failed, 2 went silent" */
export function describeEvidence({ underWay, proven, failed, silent }: ReleaseEvidence): string {
  const total = underWay + proven + failed + silent;
  const parts = [
    ...(failed > 0 || silent === 0 ? [`${failed} of ${total} ${total === 1 ? 'device' : 'devices'} failed`] : []),
    ...(silent > 0
      ? [`${silent}${failed > 0 ? '' : ` of ${total} ${total === 1 ? 'device' : 'devices'}`} went silent`]
      : []),
  ];
  return parts.join(', ');
}
