import type { Delivery } from './model-settings.ts';
import type { CommandFamily } from './topics.ts';
import type { AttemptVerdict } from './update-policy.ts';

/** Result codes of the field firmware for temporary problems: no Wi-Fi, download failed, timeout, already running. */
const TRANSIENT_CODES: readonly number[] = [1, 2, 7, 10];

/** Largest image that a link can answer with directly: a function's response may have 6 MB, and base64 adds a third. */
export const DIRECT_MAX_BYTES = 4 * 1024 * 1024;

const FIRST_WAIT_MINUTES = 2;
const LONGEST_WAIT_MINUTES = 60;

/** The attempt that was just evaluated. */
export interface EndedAttempt {
  readonly updateId: number;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly family: CommandFamily | null;
  /** True if the device's client received the command (PUBACK). A device that slept did not receive it. */
  readonly isDelivered: boolean;
  readonly delivery: Delivery | null;
  readonly linkOpened: boolean;
  readonly imageBytes: number;
}

export interface Retry {
  readonly notBefore: Date;
  /** Null: the device's own family. */
  readonly family: CommandFamily | null;
  readonly delivery: Delivery | null;
}

/**
 * Decides whether to try again, when, and how. A command that was delivered but not acted on goes to the other topic
 * family next. A download that failed behind a redirect is answered directly next. An image that was installed is never
 * sent again, because only the device can tell whether it boots.
 * @returns undefined if the outcome is final
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

/**
 * Each wait is four times as long as the one before, randomized between 50% and 150%, so that a fleet does not retry
 * all at once.
 */
function waitMinutes(updateId: number, attempt: number): number {
  const wait = Math.min(FIRST_WAIT_MINUTES * 4 ** (attempt - 1), LONGEST_WAIT_MINUTES);
  return wait * (0.5 + fraction(updateId * 31 + attempt));
}

/** A number in [0, 1) that looks random but is the same each time (multiplicative hashing, Knuth). */
const fraction = (n: number) => ((n * 2_654_435_761) % 2 ** 32) / 2 ** 32;
