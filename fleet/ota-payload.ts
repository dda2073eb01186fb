import { RESULT_MESSAGES, type ResultCode } from './ota-failure.ts';
import type { StatusForm } from './status-payload.ts';

/** The states that a device reports during an update. */
export type ProgressState = 'Checking' | 'Downloading' | 'Verifying' | 'Installing' | 'Complete' | 'Failed';

/** The progress of an update. */
export interface Progress {
  readonly state: ProgressState;
  readonly downloadedBytes: number;
  /** 0 until the server has sent the size. */
  readonly totalBytes: number;
  readonly elapsedMs: number;
}

/** The outcome of an installation; code 0 is success. */
export interface OtaOutcome {
  readonly code: ResultCode;
  /** The `message` of the result. */
  readonly message: string;
  /** The reason for people. It is never sent. */
  readonly reason: string;
  /** The image did not pass its checks, and boots at the next reset all the same. */
  readonly bootsUnverified?: boolean;
}

/** The outcome of a successful installation. */
export const INSTALLED: OtaOutcome = { code: 0, message: RESULT_MESSAGES[0], reason: 'the image is written' };

/** The update that a message is about, and the time of the message. */
export interface OtaContext {
  readonly form: StatusForm;
  readonly timestamp: string;
  readonly currentVersion: string;
  readonly targetVersion: string;
}

/** The payload of the acknowledgement of a command. */
export function acceptedPayload(context: OtaContext): Record<string, unknown> {
  return { timestamp: context.timestamp, status: 'accepted', ...versions(context) };
}

/** The payload of a progress report. */
export function progressPayload(timestamp: string, progress: Progress): Record<string, unknown> {
  const { state, downloadedBytes, totalBytes, elapsedMs } = progress;
  const percent = totalBytes === 0 ? 0 : Math.floor((downloadedBytes * 100) / totalBytes);
  return { timestamp, state, percent, downloaded: downloadedBytes, total: totalBytes, elapsed_ms: elapsedMs };
}

/** The payload of a result. */
export function resultPayload(context: OtaContext, outcome: OtaOutcome): Record<string, unknown> {
  const { code, message } = outcome;
  return { timestamp: context.timestamp, ...versions(context), success: code === 0, result_code: code, message };
}

/** Firmware before 1.4 names only the target version, as `version`. */
function versions({ form, currentVersion, targetVersion }: OtaContext): Record<string, string> {
  if (form === '1.4.2' || form === '1.4.2-s3')
    return { current_version: currentVersion, target_version: targetVersion };
  return { version: targetVersion };
}
