import { type ControlGroup, excessSilence, isOutage, type ReleaseEvidence } from './release-evidence.ts';

/** The outcomes of a release on the devices that have one value of a name, such as `facts.board_revision`. */
export interface ValueEvidence {
  readonly name: string;
  /** Null: devices that have no value. */
  readonly value: string | null;
  readonly evidence: ReleaseEvidence;
}

/** The outcomes of a release by the values of its devices. */
export interface EvidenceByValue {
  readonly total: ReleaseEvidence;
  /** Values with failures. */
  readonly values: readonly ValueEvidence[];
}

/** Fewer failures than this say nothing of a value: the devices may have been broken before. */
export const FEWEST_OF_VALUE = 3;
/** A value explains the failures if it has at least this share of them, … */
const MOST_FAILURES = 0.8;
/** … and less than this share of the devices. */
const MINORITY = 0.5;
/** A covered value halts the rollout if more than this share of its devices failed. */
const HALTING_SHARE = 0.5;

const exposed = ({ underWay, proven, failed, silent }: ReleaseEvidence) => underWay + proven + failed + silent;

/** The devices with a value, after the word "devices". */
function withValue({ name, value }: ValueEvidence): string {
  if (name === 'version') return `updated from ${value ?? 'an unknown version'}`;
  return value === null ? `without ${name}` : `with ${name}=${value}`;
}

/** Silence proves nothing during an outage. */
const heardOf = (evidence: ReleaseEvidence, control: ControlGroup): ReleaseEvidence =>
  isOutage(control) ? { ...evidence, silent: 0 } : evidence;

/**
 * Names the value that has the failures: at least three, at least 80% of all, while fewer than half of the devices that
 * were sent the release have it. Of several the one with most failures, then the one that fewest devices have.
 * @returns a sentence; undefined if no value explains the failures
 */
export function describeConcentration({ total, values }: EvidenceByValue, control: ControlGroup): string | undefined {
  const badOf = (evidence: ReleaseEvidence) => evidence.failed + heardOf(evidence, control).silent;
  const all = badOf(total);
  const [found] = values
    .filter(({ evidence }) => {
      const bad = badOf(evidence);
      return bad >= FEWEST_OF_VALUE && bad >= MOST_FAILURES * all && exposed(evidence) < MINORITY * exposed(total);
    })
    .sort((a, b) => badOf(b.evidence) - badOf(a.evidence) || exposed(a.evidence) - exposed(b.evidence));
  if (found === undefined) return undefined;
  const bad = badOf(found.evidence);
  const kind = heardOf(total, control).silent > 0 ? 'failed or silent devices' : 'failed devices';
  const part = bad === all ? `All ${all} ${kind}` : `${bad} of the ${all} ${kind}`;
  return `${part} are among the ${exposed(found.evidence)} of ${exposed(total)} devices ${withValue(found)}`;
}

/**
 * Why the devices with one value halt the rollout, though all of its devices together may be within the limit: at least
 * three of them failed, and more than half of those that were sent the release. Devices under way count as if they would
 * succeed.
 * @param names of the values that are judged on their own
 */
export function findFailingValue(
  { total, values }: EvidenceByValue,
  names: readonly string[],
  control: ControlGroup,
): string | undefined {
  const failuresOf = (evidence: ReleaseEvidence) =>
    evidence.failed + excessSilence(heardOf(evidence, control), control);
  const [found] = values
    .filter(({ name, evidence }) => {
      const failures = failuresOf(evidence);
      return names.includes(name) && failures >= FEWEST_OF_VALUE && failures > HALTING_SHARE * exposed(evidence);
    })
    .sort((a, b) => failuresOf(b.evidence) - failuresOf(a.evidence) || exposed(a.evidence) - exposed(b.evidence));
  if (found === undefined) return undefined;
  const { evidence } = found;
  const others = exposed(total) - exposed(evidence);
  const rest = `${failuresOf(total) - failuresOf(evidence)} of the other ${others}`;
  return `${failuresOf(evidence)} of ${exposed(evidence)} devices ${withValue(found)} failed${others === 0 ? '' : `, and ${rest}`}; at most half of the devices with a covered value may fail`;
}
