import { runsRelease } from '../protocol/index.ts';
import {
  type AttemptFacts,
  type Evaluated,
  type Habits,
  ONE_BOOT_SECONDS,
  plusMinutes,
  plusSeconds,
  restartedSince,
  type StatusReport,
  silenceSeconds,
  type UpdateTimes,
} from './attempt-facts.ts';

/** More restarts than this in one probation, beyond the usual ones of the device, are a crash loop. */
const TOLERATED_RESTARTS = 2;
/** A device may restart twice as often as before: its habit is an estimate. */
const RESTART_FACTOR = 2;

/** Booted: the device runs the new version and has yet to prove it. */
export function evaluateProbation(
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
