import { RESULT_MESSAGES, type ResultCode } from './ota-failure.ts';
import type { StatusForm } from './status-payload.ts';

/** The states of an update that a device names while it runs. */
export type ProgressState = 'Checking' | 'Downloading' | 'Verifying' | 'Installing' | 'Complete' | 'Failed';

/** How far an update has come. */
export interface Progress {
  readonly state: ProgressState;
  readonly downloadedBytes: number;
  /** 0 until the server has told the size. */
  readonly totalBytes: number;
  readonly elapsedMs: number;
}

/** How an update ended: with the image written (code 0) or with the reason why not. */
export interface OtaOutcome {
  readonly code: ResultCode;
  /** The result's `message`. */
  readonly message: string;
  /** The reason in words for a reader; never sent. */
  readonly why: string;
}

/** The outcome of an image that is written and will run after the reboot. */
export const WRITTEN: OtaOutcome = { code: 0, message: RESULT_MESSAGES[0], why: 'the image is written' };

/** Which update a message is about, and when it is said. */
export interface OtaContext {
  readonly form: StatusForm;
  readonly timestamp: string;
  readonly currentVersion: string;
  readonly targetVersion: string;
}

/** Gives the payload that says a command was understood. */
export function acceptedPayload(context: OtaContext): Record<string, unknown> {
  return { timestamp: context.timestamp, status: 'accepted', ...versions(context) };
}

/** Gives the payload of a progress report. */
export function progressPayload(timestamp: string, progress: Progress): Record<string, unknown> {
  const { state, downloadedBytes, totalBytes, elapsedMs } = progress;
  const percent = totalBytes === 0 ? 0 : Math.floor((downloadedBytes * 100) / totalBytes);
  return { timestamp, state, percent, downloaded: downloadedBytes, total: totalBytes, elapsed_ms: elapsedMs };
}

/** Gives the payload of a result. */
export function resultPayload(context: OtaContext, outcome: OtaOutcome): Record<string, unknown> {
  const { code, message } = outcome;
  return { timestamp: context.timestamp, ...versions(context), success: code === 0, result_code: code, message };
}

/** Generations before 1.4 name only the target, as `version`. */
function versions({ form, currentVersion, targetVersion }: OtaContext): Record<string, string> {
  if (form === '1.4.2') return { current_version: currentVersion, target_version: targetVersion };
  return { version: targetVersion };
}
