import type { Delivery } from './model-settings.ts';
import type { CommandFamily } from './topics.ts';
import type { AttemptVerdict } from './update-policy.ts';

/** Result codes of the field firmware that pass by themselves: no Wi-Fi, download failed, timeout, already running. */
const TRANSIENT_CODES: readonly number[] = [1, 2, 7, 10];

/** An image that the link can answer with directly: a function's answer may be 6 MB, and base64 makes 4 of 3. */
export const DIRECT_MAX_BYTES = 4 * 1024 * 1024;

const FIRST_WAIT_MINUTES = 2;
const LONGEST_WAIT_MINUTES = 60;

/** The attempt that has just been judged. */
export interface EndedAttempt {
  readonly updateId: number;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly family: CommandFamily | null;
  /** Its client must have had the command (PUBACK), whatever the device made of it. One that slept had nothing. */
  readonly isDelivered: boolean;
  readonly delivery: Delivery | null;
  readonly linkOpened: boolean;
  readonly imageBytes: number;
}

export interface Retry {
  readonly notBefore: Date;
  /** Null: as the device and its model say. */
  readonly family: CommandFamily | null;
  readonly delivery: Delivery | null;
}

/**
 * Whether another attempt may help, when, and how it differs. A command that was delivered and not heeded goes to the
 * other topic family; a download that failed behind a redirect is answered directly. What was written is never sent again: only
 * the device can say whether it boots. @returns undefined when the outcome is final
 */
export function planRetry(verdict: AttemptVerdict, ended: EndedAttempt): Retry | undefined {
  const { completedAt } = verdict;
  if (completedAt === null || ended.attempt >= ended.maxAttempts || !isRetryable(verdict)) return undefined;
  const wait = waitMinutes(ended.updateId, ended.attempt);
  return {
    notBefore: new Date(completedAt.getTime() + wait * 60_000),
    family: verdict.acknowledgedAt === null && ended.isDelivered ? otherFamily(ended.family) : ended.family,
    delivery:
      ended.linkOpened && ended.imageBytes <= DIRECT_MAX_BYTES && ended.delivery === 'redirect'
        ? 'direct'
        : ended.delivery,
  };
}

function isRetryable({ status, installedAt, resultCode }: AttemptVerdict): boolean {
  if (installedAt !== null) return false;
  if (status === 'timed_out') return true;
  return status === 'failed' && (resultCode === null || TRANSIENT_CODES.includes(resultCode));
}

const otherFamily = (family: CommandFamily | null): CommandFamily | null =>
  family === null ? null : family === 'devices' ? 'edge' : 'devices';

/** Four times as long each time, between half and one and a half of it, so that a fleet does not come back at once. */
function waitMinutes(updateId: number, attempt: number): number {
  const wait = Math.min(FIRST_WAIT_MINUTES * 4 ** (attempt - 1), LONGEST_WAIT_MINUTES);
  return wait * (0.5 + fraction(updateId * 31 + attempt));
}

/** A number in [0, 1) that looks random and is the same each time (multiplicative hashing, Knuth). */
const fraction = (n: number) => ((n * 2_654_435_761) % 2 ** 32) / 2 ** 32;
