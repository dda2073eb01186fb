import type { CommandFamily } from '../protocol/index.ts';
import type { Delivery } from '../release-policy/index.ts';
import type { UpdateId } from '../util/index.ts';
import type { AttemptVerdict } from './attempt-facts.ts';

/** Largest image that a link can answer with directly: a function's response may have 6 MB, and base64 adds a third. */
export const DIRECT_MAX_BYTES = 4 * 1024 * 1024;

const FIRST_WAIT_MINUTES = 2;
const LONGEST_WAIT_MINUTES = 60;
const FIRST_DECLINED_WAIT_MINUTES = 5;
const LONGEST_DECLINED_WAIT_MINUTES = 6 * 60;
const PROMPT_ATTEMPTS = 10;
const LONGEST_RECOVERY_WAIT = 4 * 60;
const INSTALL_FAILED = 4;

/** The attempt that was just evaluated. */
export interface EndedAttempt {
  readonly updateId: UpdateId;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly family: CommandFamily | null;
  /** True if the device's client received the command (PUBACK). A device that slept did not receive it. */
  readonly isDelivered: boolean;
  readonly delivery: Delivery | null;
  readonly linkOpened: boolean;
  readonly imageBytes: number;
  /** How often the device had declined before. */
  readonly declinedCount: number;
  /** The wait that the device asked for when it declined; null where it asked for none. */
  readonly retryAfterSeconds: number | null;
  /** True if the update takes the device off a bad release, which may leave it only moments between two restarts. */
  readonly isRecovery: boolean;
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
  // An installed image is never sent again: only the device can tell whether it boots.
  // A device that restarts again and again may do so while it writes the image that ends this.
  const isTransient = verdict.isTransient || (ended.isRecovery && verdict.status === 'rolled_back');
  if (completedAt === null || verdict.installedAt !== null || !isTransient) return undefined;
  if (verdict.cause === 'declined') return planRepeat(completedAt, ended);
  if (ended.attempt - ended.declinedCount >= ended.maxAttempts) return undefined;
  const isRedirected = ended.linkOpened && ended.imageBytes <= DIRECT_MAX_BYTES && ended.delivery === 'redirect';
  // A damaged download often ends as "install failed": one more attempt is worth it if the delivery differs.
  if (verdict.resultCode === INSTALL_FAILED && ended.linkOpened && !isRedirected) return undefined;
  const wait = ended.isRecovery ? recoveryWaitMinutes(ended.attempt) : waitMinutes(ended.updateId, ended.attempt);
  return {
    notBefore: new Date(completedAt.getTime() + wait * 60_000),
    family: verdict.acknowledgedAt === null && ended.isDelivered ? otherFamily(ended.family) : ended.family,
    delivery: isRedirected ? 'direct' : ended.delivery,
  };
}

/** A device that declined is asked again, later each time; this uses no attempt. */
function planRepeat(declinedAt: Date, { declinedCount, retryAfterSeconds, family, delivery }: EndedAttempt): Retry {
  const growing = Math.min(FIRST_DECLINED_WAIT_MINUTES * 2 ** declinedCount, LONGEST_DECLINED_WAIT_MINUTES);
  const minutes =
    retryAfterSeconds === null ? growing : Math.min(retryAfterSeconds / 60, LONGEST_DECLINED_WAIT_MINUTES);
  return { notBefore: new Date(declinedAt.getTime() + Math.max(minutes, 1) * 60_000), family, delivery };
}

const otherFamily = (family: CommandFamily | null): CommandFamily | null =>
  family === null ? null : family === 'devices' ? 'edge' : 'devices';

/**
 * Each wait is four times as long as the one before, randomized between 50% and 150%, so that a fleet does not retry
 * all at once.
 */
function waitMinutes(updateId: UpdateId, attempt: number): number {
  const wait = Math.min(FIRST_WAIT_MINUTES * 4 ** (attempt - 1), LONGEST_WAIT_MINUTES);
  return wait * (0.5 + fraction(updateId * 31 + attempt));
}

/** The first attempts of a recovery follow at the next contact; the later ones wait, so that they last for most of a day. */
const recoveryWaitMinutes = (attempt: number) =>
  attempt < PROMPT_ATTEMPTS
    ? 0
    : Math.min(FIRST_WAIT_MINUTES * 2 ** (attempt - PROMPT_ATTEMPTS), LONGEST_RECOVERY_WAIT);

/** A number in [0, 1) that looks random but is the same each time (multiplicative hashing, Knuth). */
const fraction = (n: number) => ((n * 2_654_435_761) % 2 ** 32) / 2 ** 32;
