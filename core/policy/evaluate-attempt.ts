import {
  ALREADY_RUNNING,
  type Cause,
  causeOfResult,
  describeResultCode,
  isTransientResult,
  runsRelease,
  VERIFICATION_FAILED,
} from '../protocol/index.ts';
import type { UpdateState } from './update-states.ts';

/** A state that a device can report about a running update. */
export type ReportedState = Extract<UpdateState, 'downloading' | 'downloaded' | 'installing'>;

export const REPORTED_STATES: readonly ReportedState[] = ['downloading', 'downloaded', 'installing'];

/** A status message of the device, as evidence of what runs. */
export interface StatusReport {
  readonly version: string;
  readonly receivedAt: Date;
  /** Null where the status has none. */
  readonly uptimeSeconds: number | null;
}

export interface ResultReport {
  readonly receivedAt: Date;
  readonly success: boolean;
  readonly code: number | null;
  readonly message: string | null;
}

/** A device that does not want the update now. */
export interface Refusal {
  readonly receivedAt: Date;
  readonly reason: string;
  /** The wait that the device asks for; null where it names none. */
  readonly retryAfterSeconds: number | null;
}

/** The device's own habits before the command, by which its silence and its restarts are measured. */
export interface Habits {
  /** Its usual time between two statuses. */
  readonly reportIntervalSeconds: number;
  readonly restartsPerHour: number;
}

/** Everything known about the newest attempt of one update: a fold over its events, the same in any order of arrival. */
export interface AttemptFacts {
  readonly targetVersion: string;
  /** The version at the time of the send; null where it was not known. */
  readonly previousVersion: string | null;
  readonly sentAt: Date;
  /** The first sign that the command arrived; null where there is none. */
  readonly acknowledgedAt: Date | null;
  /** Any report about the update. */
  readonly lastReportAt: Date | null;
  /** When the link was opened first; null where it was not. */
  readonly linkOpenedAt: Date | null;
  /** When the furthest state and percentage were first reported: repeating them is not progress. */
  readonly lastProgressAt: Date | null;
  readonly furthestState: ReportedState | null;
  readonly percent: number | null;
  /** When the device reported the state `Failed`, which may come without a result. */
  readonly failedAt: Date | null;
  /** In order of receipt. */
  readonly results: readonly ResultReport[];
  readonly refusal: Refusal | null;
  /** In order of receipt. */
  readonly statuses: readonly StatusReport[];
}

export interface UpdateTimes {
  readonly attemptTimeoutMinutes: number;
  readonly bootTimeoutMinutes: number;
  readonly probationMinutes: number;
}

/** The state that the facts amount to. `completedAt` null means open; then `deadlineAt` says when silence decides. */
export interface AttemptVerdict {
  readonly status: UpdateState;
  /** Null while open, and for success. */
  readonly cause: Cause | null;
  readonly acknowledgedAt: Date | null;
  readonly reportedAt: Date | null;
  readonly percent: number | null;
  readonly resultCode: number | null;
  readonly errorMessage: string | null;
  readonly installedAt: Date | null;
  /** The first status that named the new version. */
  readonly bootedAt: Date | null;
  /** The version that the device reports after the reboot, where it is neither the new version nor the old one. */
  readonly unexpectedVersion: string | null;
  readonly deadlineAt: Date | null;
  readonly completedAt: Date | null;
  /** A transient failure may be tried again; a final one may not. */
  readonly isTransient: boolean;
}

/** The old image reports for about 3 s after its result, and the queues are unordered: an earlier status proves nothing. */
const REBOOT_GRACE_SECONDS = 20;
/** Reports may extend an attempt up to this many times its timeout after the send, and not longer. */
const ATTEMPT_CAP = 4;
/** A written image whose device proves by its uptime that it has not rebooted is waited for this long. */
const REBOOT_POSTPONED_HOURS = 24;
/** This many expected reports in a row that do not come are silence. */
const SILENT_REPORTS = 5;
const LONGEST_SILENCE_HOURS = 48;
/** Two statuses whose boot times differ by less are of one boot: uptimes are whole seconds and messages take time. */
const ONE_BOOT_SECONDS = 15;
/** More restarts than this in one probation, beyond the usual ones of the device, are a crash loop. */
const TOLERATED_RESTARTS = 2;
/** A device may restart twice as often as before: its habit is an estimate. */
const RESTART_FACTOR = 2;

/**
 * The time that a device gets to report after its probation: five of its usual reports, at least one probation.
 * @returns seconds
 */
export function silenceSeconds({ reportIntervalSeconds }: Habits, probationMinutes: number): number {
  const usual = SILENT_REPORTS * reportIntervalSeconds;
  return Math.min(Math.max(usual, probationMinutes * 60, 60), LONGEST_SILENCE_HOURS * 3600);
}

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

type Evaluated = Pick<AttemptVerdict, 'status'> & Partial<AttemptVerdict>;

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
  const refusal = refusalOf(facts);
  // A device that declined has said all about this attempt; one that accepted forgets the command when it restarts.
  const heldSince = facts.linkOpenedAt ?? (refusal === undefined ? facts.acknowledgedAt : null);
  const restart = facts.statuses.find((status) => restartedSince(status, heldSince));
  if (restart !== undefined) return evaluateInterruption(facts, restart);
  const isUnderWay = facts.linkOpenedAt !== null || facts.furthestState !== null;
  const declined = isUnderWay ? undefined : refusal;
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

/** An explicit refusal, or the code for a running update while nothing else shows one. */
function refusalOf({ refusal, results }: AttemptFacts): Refusal | undefined {
  if (refusal !== null) return refusal;
  const busy = results.find(({ code, success }) => !success && code === ALREADY_RUNNING);
  if (busy === undefined) return undefined;
  return {
    receivedAt: busy.receivedAt,
    reason: busy.message ?? describeResultCode(busy.code),
    retryAfterSeconds: null,
  };
}

/** True if the status shows by its uptime that the device booted after `since`. */
function restartedSince({ receivedAt, uptimeSeconds }: StatusReport, since: Date | null): boolean {
  if (since === null || uptimeSeconds === null) return false;
  return receivedAt.getTime() - uptimeSeconds * 1000 > since.getTime() + ONE_BOOT_SECONDS * 1000;
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

/** Installed, and the new version has not reported yet. */
function evaluateReboot(
  facts: AttemptFacts,
  writtenAt: Date,
  times: UpdateTimes,
  habits: Habits,
  now: Date,
): Evaluated {
  const others = facts.statuses.filter((status) => isAfterReboot(status, writtenAt));
  const proof = others.find(({ uptimeSeconds }) => uptimeSeconds !== null);
  if (proof !== undefined) return describeReturn(facts, proof);
  const bootBy = plusMinutes(writtenAt, times.bootTimeoutMinutes);
  // Without an uptime, a status of the old version may come before a slow reboot: two decide, and not before the boot timeout.
  const [, agreeing] = others.filter(({ uptimeSeconds }) => uptimeSeconds === null);
  if (agreeing !== undefined) {
    const decidedAt = latest(bootBy, agreeing.receivedAt);
    if (now < decidedAt) return { status: 'success', deadlineAt: decidedAt };
    return { ...describeReturn(facts, agreeing), completedAt: decidedAt };
  }
  const stillUp = facts.statuses.filter((status) => isStillUp(status, writtenAt)).at(-1);
  const silence = silenceSeconds(habits, times.probationMinutes);
  const cap = plusMinutes(writtenAt, REBOOT_POSTPONED_HOURS * 60);
  // A device that shows that it has not rebooted is waited for as long as it keeps reporting, up to the cap.
  const deadlineAt =
    stillUp === undefined
      ? latest(bootBy, plusSeconds(writtenAt, silence))
      : earliest(latest(bootBy, plusSeconds(stillUp.receivedAt, silence)), cap);
  if (now < deadlineAt) return { status: 'success', deadlineAt };
  if (stillUp !== undefined && deadlineAt >= cap) {
    const errorMessage = `installed, but the device has not rebooted within ${REBOOT_POSTPONED_HOURS} h`;
    return { status: 'timed_out', cause: 'declined', errorMessage, completedAt: deadlineAt };
  }
  const errorMessage =
    stillUp === undefined
      ? `installed, but ${facts.targetVersion} was not reported within ${Math.round((deadlineAt.getTime() - writtenAt.getTime()) / 60_000)} min`
      : `installed, and went silent before it rebooted: last heard at ${stillUp.receivedAt.toISOString()}`;
  return { status: 'timed_out', cause: 'silence', errorMessage, completedAt: deadlineAt };
}

/** A status of another image: late enough, and where it states an uptime, shorter than the time since the write. */
function isAfterReboot({ receivedAt, uptimeSeconds }: StatusReport, writtenAt: Date): boolean {
  const seconds = (receivedAt.getTime() - writtenAt.getTime()) / 1000;
  if (seconds < REBOOT_GRACE_SECONDS) return false;
  return uptimeSeconds === null || uptimeSeconds < seconds;
}

/** A status whose uptime reaches back before the write proves that the device has not rebooted yet. */
function isStillUp({ receivedAt, uptimeSeconds }: StatusReport, writtenAt: Date): boolean {
  const seconds = (receivedAt.getTime() - writtenAt.getTime()) / 1000;
  return seconds >= 0 && uptimeSeconds !== null && uptimeSeconds >= seconds;
}

function describeReturn(facts: AttemptFacts, { version, receivedAt }: StatusReport): Evaluated {
  const { previousVersion, targetVersion } = facts;
  if (previousVersion !== null && !runsRelease(version, previousVersion)) {
    const errorMessage = `Installed ${targetVersion}, but after the reboot the device reports ${version}. Does the image embed that version?`;
    return { status: 'failed', cause: 'build', errorMessage, unexpectedVersion: version, completedAt: receivedAt };
  }
  const errorMessage = `reported ${version} again after a reboot: ${targetVersion} did not boot`;
  return { status: 'rolled_back', cause: 'build', errorMessage, completedAt: receivedAt };
}

/** Booted: the device runs the new version and has yet to prove it. */
function evaluateProbation(
  facts: AttemptFacts,
  booted: StatusReport,
  times: UpdateTimes,
  habits: Habits,
  now: Date,
): Evaluated {
  const { targetVersion } = facts;
  const bootedAt = booted.receivedAt;
  const provenFrom = plusMinutes(bootedAt, times.probationMinutes);
  const onTarget = facts.statuses.filter(
    ({ version, receivedAt }) => receivedAt >= bootedAt && runsRelease(version, targetVersion),
  );
  const proof = onTarget.find(({ receivedAt }) => receivedAt >= provenFrom);
  const decisive = ({ receivedAt }: StatusReport) => proof === undefined || receivedAt <= proof.receivedAt;
  const back = findReturn({ ...facts, statuses: facts.statuses.filter(decisive) }, bootedAt);
  const loop = findCrashLoop(onTarget.filter(decisive), habits);
  // The evidence that was received first decides, whatever is known by now.
  if (back !== undefined && (loop === undefined || back.receivedAt <= loop.receivedAt)) {
    const errorMessage = `reported ${back.version} again after a reboot: ${targetVersion} did not stay up`;
    return { status: 'rolled_back', cause: 'build', bootedAt, errorMessage, completedAt: back.receivedAt };
  }
  if (loop !== undefined) {
    const errorMessage = `${targetVersion} restarted ${loop.restarts} times within ${loop.minutes} min of its first boot`;
    return { status: 'failed', cause: 'build', bootedAt, errorMessage, completedAt: loop.receivedAt };
  }
  if (proof !== undefined) return { status: 'success', bootedAt, completedAt: proof.receivedAt };
  const deadlineAt = plusSeconds(provenFrom, silenceSeconds(habits, times.probationMinutes));
  if (now < deadlineAt) return { status: 'success', bootedAt, deadlineAt };
  const errorMessage = `went silent after booting ${targetVersion}: last heard at ${onTarget.at(-1)?.receivedAt.toISOString()}`;
  return { status: 'timed_out', cause: 'silence', bootedAt, errorMessage, completedAt: deadlineAt };
}

/**
 * The status that shows that the device left the new version before it was proven. One with an uptime decides alone; of
 * those without, a late copy could be among them, so two are needed.
 */
function findReturn(facts: AttemptFacts, bootedAt: Date): StatusReport | undefined {
  const left = facts.statuses.filter(
    ({ version, receivedAt }) => receivedAt > bootedAt && !runsRelease(version, facts.targetVersion),
  );
  const certain = left.findIndex((status) => restartedSince(status, bootedAt) || isShortUptime(status, bootedAt));
  const [, second] = left.filter(({ uptimeSeconds }) => uptimeSeconds === null);
  const agreeing = second === undefined ? -1 : left.indexOf(second);
  const first = Math.min(...[certain, agreeing].filter((index) => index >= 0));
  return left[first];
}

const isShortUptime = ({ receivedAt, uptimeSeconds }: StatusReport, since: Date): boolean =>
  uptimeSeconds !== null && uptimeSeconds * 1000 < receivedAt.getTime() - since.getTime();

interface CrashLoop {
  readonly restarts: number;
  readonly minutes: number;
  readonly receivedAt: Date;
}

/**
 * More restarts on the new version than the device's habit explains. A restart shows by its uptime; where statuses have
 * none, a device that restarts reports more often than it used to.
 */
function findCrashLoop(onTarget: readonly StatusReport[], habits: Habits): CrashLoop | undefined {
  const first = onTarget[0];
  if (first === undefined) return undefined;
  let boots = 0;
  let reports = 0;
  let lastBoot = Number.NEGATIVE_INFINITY;
  for (const { receivedAt, uptimeSeconds } of onTarget) {
    const seconds = (receivedAt.getTime() - first.receivedAt.getTime()) / 1000;
    if (uptimeSeconds === null) reports++;
    else {
      const bootedAt = receivedAt.getTime() / 1000 - uptimeSeconds;
      if (bootedAt > lastBoot + ONE_BOOT_SECONDS) {
        boots++;
        lastBoot = bootedAt;
      }
    }
    const usualRestarts = (habits.restartsPerHour * seconds) / 3600;
    const usualReports = seconds / habits.reportIntervalSeconds;
    const excess = Math.max(
      boots - 1 - RESTART_FACTOR * usualRestarts,
      reports - 1 - RESTART_FACTOR * usualReports - TOLERATED_RESTARTS,
    );
    if (excess > TOLERATED_RESTARTS) {
      const restarts = Math.max(boots, reports) - 1;
      return { restarts, minutes: Math.max(1, Math.round(seconds / 60)), receivedAt };
    }
  }
  return undefined;
}

const plusSeconds = (date: Date, seconds: number) => new Date(date.getTime() + seconds * 1000);
const plusMinutes = (date: Date, minutes: number) => plusSeconds(date, minutes * 60);
const earliest = (a: Date, b: Date) => (a < b ? a : b);
const latest = (...dates: readonly (Date | null)[]) =>
  new Date(Math.max(...dates.map((date) => date?.getTime() ?? Number.NEGATIVE_INFINITY)));
