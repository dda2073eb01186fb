import type { Cause } from '../protocol/index.ts';
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
export interface Decline {
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
  readonly decline: Decline | null;
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

/** This many expected reports in a row that do not come are silence. */
const SILENT_REPORTS = 5;
const LONGEST_SILENCE_HOURS = 48;
/** Two statuses whose boot times differ by less are of one boot: uptimes are whole seconds and messages take time. */
export const ONE_BOOT_SECONDS = 15;

/**
 * The time that a device gets to report after its probation: five of its usual reports, at least one probation.
 * @returns seconds
 */
export function silenceSeconds({ reportIntervalSeconds }: Habits, probationMinutes: number): number {
  const usual = SILENT_REPORTS * reportIntervalSeconds;
  return Math.min(Math.max(usual, probationMinutes * 60, 60), LONGEST_SILENCE_HOURS * 3600);
}

/** The state of one attempt, as far as the evidence of one phase says. */
export type Evaluated = Pick<AttemptVerdict, 'status'> & Partial<AttemptVerdict>;

/** True if the status shows by its uptime that the device booted after `since`. */
export function restartedSince({ receivedAt, uptimeSeconds }: StatusReport, since: Date | null): boolean {
  if (since === null || uptimeSeconds === null) return false;
  return receivedAt.getTime() - uptimeSeconds * 1000 > since.getTime() + ONE_BOOT_SECONDS * 1000;
}

export const plusSeconds = (date: Date, seconds: number) => new Date(date.getTime() + seconds * 1000);
export const plusMinutes = (date: Date, minutes: number) => plusSeconds(date, minutes * 60);
export const earliest = (a: Date, b: Date) => (a < b ? a : b);
export const latest = (...dates: readonly (Date | null)[]) =>
  new Date(Math.max(...dates.map((date) => date?.getTime() ?? Number.NEGATIVE_INFINITY)));
