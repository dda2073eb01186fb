import { runsRelease } from '../protocol/index.ts';
import {
  type AttemptFacts,
  type Evaluated,
  earliest,
  type Habits,
  latest,
  plusMinutes,
  plusSeconds,
  type StatusReport,
  silenceSeconds,
  type UpdateTimes,
} from './attempt-facts.ts';

/** The old image reports for about 3 s after its result, and the queues are unordered: an earlier status proves nothing. */
const REBOOT_GRACE_SECONDS = 20;
/** A written image whose device proves by its uptime that it has not rebooted is waited for this long. */
const REBOOT_POSTPONED_HOURS = 24;

/** Installed, and the new version has not reported yet. */
export function evaluateReboot(
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
