import type { UpdateState } from './update-states.ts';
import { isSameVersion } from './versions.ts';

/** The states that a device can report while it updates. */
export type ReportedState = Extract<UpdateState, 'downloading' | 'downloaded' | 'installing'>;

export const REPORTED_STATES: readonly ReportedState[] = ['downloading', 'downloaded', 'installing'];

/** A status message of the device, as evidence of the version that it runs. */
export interface BootReport {
  readonly version: string;
  readonly receivedAt: Date;
  readonly uptimeSeconds: number | null;
}

export interface ResultReport {
  readonly receivedAt: Date;
  readonly success: boolean;
  readonly code: number | null;
  readonly message: string | null;
}

/** All facts about the current attempt of one update, summed over its events in any order of arrival. */
export interface AttemptFacts {
  readonly targetVersion: string;
  /** The version that ran when the command was sent; null if unknown. */
  readonly previousVersion: string | null;
  readonly sentAt: Date;
  /** Null if the device has not responded. */
  readonly acknowledgedAt: Date | null;
  readonly lastReportAt: Date | null;
  readonly furthestState: ReportedState | null;
  readonly percent: number | null;
  /** The earliest result of the attempt; later results change nothing. */
  readonly result: ResultReport | null;
  /** In order of receipt. */
  readonly boots: readonly BootReport[];
}

export interface UpdateTimes {
  readonly attemptTimeoutMinutes: number;
  readonly bootTimeoutMinutes: number;
  readonly probationMinutes: number;
}

/**
 * The state that follows from the facts. If `completedAt` is null the update is open, and `deadlineAt` is when it times
 * out.
 */
export interface AttemptVerdict {
  readonly status: UpdateState;
  readonly acknowledgedAt: Date | null;
  readonly reportedAt: Date | null;
  readonly percent: number | null;
  readonly resultCode: number | null;
  readonly errorMessage: string | null;
  readonly installedAt: Date | null;
  readonly bootedAt: Date | null;
  /** The version that the device reports after the reboot, if it is neither the new version nor the old one. */
  readonly unexpectedVersion: string | null;
  readonly deadlineAt: Date | null;
  readonly completedAt: Date | null;
}

/**
 * The old image keeps reporting for about 3 s after its result, and queues do not preserve order: an earlier status
 * proves nothing.
 */
const REBOOT_GRACE_SECONDS = 20;

/**
 * Evaluates one attempt at `now`. Pure and total: the same facts give the same verdict in whatever order they arrived.
 * A result with `success` means installed; a later status of the target version means booted; the end of probation
 * makes the update final.
 */
export function evaluateAttempt(facts: AttemptFacts, times: UpdateTimes, now: Date): AttemptVerdict {
  const { sentAt, acknowledgedAt, lastReportAt, furthestState, percent, result } = facts;
  const base = {
    acknowledgedAt,
    reportedAt: lastReportAt,
    percent,
    resultCode: result?.code ?? null,
    errorMessage: null,
    installedAt: null,
    bootedAt: null,
    unexpectedVersion: null,
    deadlineAt: null,
    completedAt: null,
  };
  if (result !== null && !result.success) {
    const errorMessage = result.message ?? `the device reported result code ${result.code ?? 'none'}`;
    return { ...base, status: 'failed', errorMessage, completedAt: result.receivedAt };
  }
  const running = firstBoot(facts, result?.receivedAt ?? sentAt, true);
  const installedAt = result?.receivedAt ?? running?.receivedAt ?? null;
  if (installedAt !== null)
    return { ...base, installedAt, ...evaluateInstalled(facts, installedAt, running, times, now) };

  const status = furthestState ?? 'sent';
  const deadlineAt = plusMinutes(lastReportAt ?? sentAt, times.attemptTimeoutMinutes);
  if (now < deadlineAt) return { ...base, status, deadlineAt };
  const errorMessage =
    acknowledgedAt === null
      ? `no answer to the command within ${times.attemptTimeoutMinutes} min`
      : `no progress for ${times.attemptTimeoutMinutes} min while ${status}`;
  return { ...base, status: 'timed_out', errorMessage, completedAt: deadlineAt };
}

/**
 * Evaluates an installed image: a status of the target version confirms it, and proof of a boot of the old version
 * means a rollback.
 */
function evaluateInstalled(
  facts: AttemptFacts,
  installedAt: Date,
  running: BootReport | undefined,
  times: UpdateTimes,
  now: Date,
): Pick<AttemptVerdict, 'status' | 'bootedAt' | 'errorMessage' | 'deadlineAt' | 'completedAt'> &
  Partial<AttemptVerdict> {
  const provenAt = running === undefined ? null : plusMinutes(running.receivedAt, times.probationMinutes);
  const back = facts.boots.find((boot) => isBootOfOtherVersion(boot, facts.targetVersion, installedAt));
  if (back !== undefined && (provenAt === null || back.receivedAt < provenAt)) {
    if (facts.previousVersion !== null && !isSameVersion(back.version, facts.previousVersion)) {
      const errorMessage = `Installed ${facts.targetVersion}, but after the reboot the device reports ${back.version}. Does the image embed that version?`;
      const unexpected = { unexpectedVersion: back.version, bootedAt: null, deadlineAt: null };
      return { status: 'failed', errorMessage, ...unexpected, completedAt: back.receivedAt };
    }
    const errorMessage = `reported ${back.version} again after a reboot: ${facts.targetVersion} did not ${running ? 'stay up' : 'boot'}`;
    const bootedAt = running !== undefined && running.receivedAt < back.receivedAt ? running.receivedAt : null;
    return { status: 'rolled_back', bootedAt, errorMessage, deadlineAt: null, completedAt: back.receivedAt };
  }
  if (running !== undefined && provenAt !== null) {
    const completedAt = now < provenAt ? null : provenAt;
    const deadlineAt = completedAt === null ? provenAt : null;
    return { status: 'success', bootedAt: running.receivedAt, errorMessage: null, deadlineAt, completedAt };
  }
  const deadlineAt = plusMinutes(installedAt, times.bootTimeoutMinutes);
  if (now < deadlineAt) return { status: 'success', bootedAt: null, errorMessage: null, deadlineAt, completedAt: null };
  const errorMessage = `installed, but ${facts.targetVersion} was not reported within ${times.bootTimeoutMinutes} min`;
  return { status: 'timed_out', bootedAt: null, errorMessage, deadlineAt: null, completedAt: deadlineAt };
}

function firstBoot(facts: AttemptFacts, after: Date, onTarget: boolean): BootReport | undefined {
  return facts.boots.find(
    ({ version, receivedAt }) => receivedAt >= after && isSameVersion(version, facts.targetVersion) === onTarget,
  );
}

/**
 * Proof that the device rebooted into another image: the status is late enough, and its uptime, if stated, is shorter
 * than the time since the installation.
 */
function isBootOfOtherVersion(boot: BootReport, targetVersion: string, installedAt: Date): boolean {
  if (isSameVersion(boot.version, targetVersion)) return false;
  const secondsSince = (boot.receivedAt.getTime() - installedAt.getTime()) / 1000;
  if (secondsSince < REBOOT_GRACE_SECONDS) return false;
  return boot.uptimeSeconds === null || boot.uptimeSeconds < secondsSince;
}

const plusMinutes = (date: Date, minutes: number) => new Date(date.getTime() + minutes * 60_000);
