import {
  ALREADY_RUNNING,
  type Cause,
  causeOfResult,
  describeResultCode,
  isTransientResult,
  runsRelease,
  VERIFICATION_FAILED,
} from '../protocol/index.ts';
import {
  type AttemptFacts,
  type AttemptVerdict,
  type Decline,
  type Evaluated,
  earliest,
  type Habits,
  latest,
  plusMinutes,
  type ResultReport,
  restartedSince,
  type StatusReport,
  type UpdateTimes,
} from './attempt-facts.ts';
import { evaluateProbation } from './evaluate-probation.ts';
import { evaluateReboot } from './evaluate-reboot.ts';

/** Reports may extend an attempt up to this many times its timeout after the send, and not longer. */
const ATTEMPT_CAP = 4;

/**
 * Evaluates one attempt at `now`, by which silence is measured. Pure and total: the same facts give the same verdict,
 * however they arrived.
 * A `success` in a result means written. A status that names the new version means booted. The update is proven, and
 * closed, only by a status of the new version that was received at or after the end of its probation.
 */
export function evaluateAttempt(facts: AttemptFacts, times: UpdateTimes, habits: Habits, now: Date): AttemptVerdict {
  const base: AttemptVerdict = {
    status: facts.furthestState ?? 'sent',
    cause: null,
    acknowledgedAt: facts.acknowledgedAt,
    reportedAt: facts.lastReportAt,
    percent: facts.percent,
    resultCode: decisiveResult(facts)?.code ?? null,
    errorMessage: null,
    installedAt: null,
    bootedAt: null,
    unexpectedVersion: null,
    deadlineAt: null,
    completedAt: null,
    isTransient: false,
  };
  const result = decisiveResult(facts);
  const booted = facts.statuses.find(
    ({ version, receivedAt }) => receivedAt >= facts.sentAt && runsRelease(version, facts.targetVersion),
  );
  // Some firmware boots an image whose checksum did not match: that it runs is not a success.
  const isUnverified = result?.success === false && result.code === VERIFICATION_FAILED;
  const failure = booted === undefined || isUnverified ? evaluateFailure(facts, result) : undefined;
  if (failure !== undefined) return { ...base, ...failure };
  const writtenAt = result?.success === true ? result.receivedAt : null;
  if (booted !== undefined) {
    const installedAt = writtenAt !== null && writtenAt < booted.receivedAt ? writtenAt : booted.receivedAt;
    return { ...base, installedAt, ...evaluateProbation(facts, booted, times, habits, now) };
  }
  if (writtenAt !== null)
    return { ...base, installedAt: writtenAt, ...evaluateReboot(facts, writtenAt, times, habits, now) };
  return { ...base, ...evaluateDownload(facts, times, now) };
}

/** The first result that says how the update ended. Code 10 says that an update runs, not how it ends. */
const decisiveResult = ({ results }: AttemptFacts): ResultReport | undefined =>
  results.find(({ success, code }) => success || code !== ALREADY_RUNNING);

function evaluateFailure(facts: AttemptFacts, result: ResultReport | undefined): Evaluated | undefined {
  const linkOpened = facts.linkOpenedAt !== null;
  if (result !== undefined && !result.success) {
    const cause = causeOfResult(result.code, linkOpened);
    return {
      status: 'failed',
      cause,
      errorMessage: describeFailure(result, cause, linkOpened),
      completedAt: result.receivedAt,
      isTransient: isTransientResult(result.code, linkOpened),
    };
  }
  if (result === undefined && facts.failedAt !== null) {
    const errorMessage = 'the device reported the state Failed and no result';
    return { status: 'failed', cause: 'delivery', errorMessage, completedAt: facts.failedAt, isTransient: true };
  }
  return undefined;
}

function describeFailure({ code, message }: ResultReport, cause: Cause, linkOpened: boolean): string {
  const said = message === null || message === '' ? '' : `: ${message}`;
  const unopened =
    cause === 'delivery' && !linkOpened ? '. The link was never opened: something on its network answered instead' : '';
  return `${describeResultCode(code)}${said}${unopened}`;
}

/** Before anything was written: progress extends the deadline, up to a cap; a restart ends the attempt. */
function evaluateDownload(facts: AttemptFacts, times: UpdateTimes, now: Date): Evaluated {
  const decline = declineOf(facts);
  // A device that declined has said all about this attempt; one that accepted forgets the command when it restarts.
  const heldSince = facts.linkOpenedAt ?? (decline === undefined ? facts.acknowledgedAt : null);
  const restart = facts.statuses.find((status) => restartedSince(status, heldSince));
  if (restart !== undefined) return evaluateInterruption(facts, restart);
  const isUnderWay = facts.linkOpenedAt !== null || facts.furthestState !== null;
  const declined = isUnderWay ? undefined : decline;
  if (declined !== undefined) {
    const errorMessage = `the device declined: ${declined.reason}`;
    return { status: 'failed', cause: 'declined', errorMessage, completedAt: declined.receivedAt, isTransient: true };
  }
  const extendedFrom = latest(facts.sentAt, facts.acknowledgedAt, facts.linkOpenedAt, facts.lastProgressAt);
  const cap = plusMinutes(facts.sentAt, times.attemptTimeoutMinutes * ATTEMPT_CAP);
  const deadlineAt = earliest(plusMinutes(extendedFrom, times.attemptTimeoutMinutes), cap);
  const status = facts.furthestState ?? 'sent';
  if (now < deadlineAt) return { status, deadlineAt };
  return { status: 'timed_out', completedAt: deadlineAt, isTransient: true, ...describeTimeout(facts, times) };
}

/** A device that is heard of after it opened the link did not die of the image; one that is not may have. */
function describeTimeout(facts: AttemptFacts, times: UpdateTimes): Pick<AttemptVerdict, 'cause' | 'errorMessage'> {
  const { acknowledgedAt, furthestState } = facts;
  const minutes = times.attemptTimeoutMinutes;
  // A report of the download proves that the link was opened, too.
  const linkOpenedAt = facts.linkOpenedAt ?? facts.lastProgressAt;
  const wasSeen = facts.statuses.some(({ receivedAt }) => receivedAt > (linkOpenedAt ?? facts.sentAt));
  if (linkOpenedAt !== null && !wasSeen) {
    return { cause: 'silence', errorMessage: `went silent while ${furthestState ?? 'downloading'}` };
  }
  if (acknowledgedAt === null) {
    return { cause: 'not_reached', errorMessage: `no answer to the command within ${minutes} min` };
  }
  const doing =
    linkOpenedAt === null ? 'the link was never opened' : `no progress while ${furthestState ?? 'downloading'}`;
  return { cause: 'delivery', errorMessage: `${doing} for ${minutes} min` };
}

/** An explicit decline, or the code for a running update while nothing else shows one. */
function declineOf({ decline, results }: AttemptFacts): Decline | undefined {
  if (decline !== null) return decline;
  const busy = results.find(({ code, success }) => !success && code === ALREADY_RUNNING);
  if (busy === undefined) return undefined;
  return {
    receivedAt: busy.receivedAt,
    reason: busy.message ?? describeResultCode(busy.code),
    retryAfterSeconds: null,
  };
}

/** The device restarted into the old version, and no result says whether the image was written before. */
function evaluateInterruption(facts: AttemptFacts, { version, receivedAt }: StatusReport): Evaluated {
  const wasWritten = facts.furthestState === 'installing' || facts.furthestState === 'downloaded';
  if (wasWritten) {
    const errorMessage = `reported ${version} after a reboot, and no result: ${facts.targetVersion} did not boot, or was not written whole`;
    return { status: 'rolled_back', cause: 'build', errorMessage, completedAt: receivedAt };
  }
  const errorMessage =
    facts.linkOpenedAt === null && facts.furthestState === null
      ? 'the device restarted before it opened the link'
      : 'the device restarted during the download';
  return { status: 'failed', cause: 'delivery', errorMessage, completedAt: receivedAt, isTransient: true };
}
