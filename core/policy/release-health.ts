import { type ControlGroup, excessSilence, lowerBound } from './release-evidence.ts';

/** A device that runs the release, with its habit before the update. */
export interface ObservedDevice {
  /** Restarts since it first reported the release, and the time since then. */
  readonly restarts: number;
  readonly hours: number;
  readonly restartsBefore: number;
  readonly hoursBefore: number;
}

/** Devices that proved the release and were heard of since the stage began. */
export interface LaterSilence {
  readonly devices: number;
  readonly silent: number;
}

export interface HealthEvidence {
  readonly version: string;
  /** A sample where there are many. */
  readonly observed: readonly ObservedDevice[];
  readonly later: LaterSilence;
}

export interface HealthLimits {
  /** Times as often as before that devices may restart. Null: restarts halt nothing. */
  readonly maxRestartRatio: number | null;
  /** Share of devices beyond the usual that may fall silent, 0 to 1. */
  readonly failureThreshold: number;
}

/** Less than this on the new version decides nothing. */
export const LEAST_DEVICE_HOURS = 1;
/** Fewer devices than this decide nothing: they may have been broken before. */
export const LEAST_DEVICES = 3;
/** Restarts per device-hour that are tolerated in addition, whatever the rate was before: one a day. */
export const TOLERATED_PER_HOUR = 1 / 24;
/** With fewer comparable devices the usual share of silent devices is not known. */
export const LEAST_CONTROL_DEVICES = 20;

/** Three standard deviations, since the gate is read at every tick: see release-evidence.ts. */
const CONFIDENCE_Z = 3;
/** A device whose habit is known for less time than this is expected to restart as the others do. */
const PRIOR_HOURS = 1;
const LEAST_SILENT = 2;
/** Devices that usually restart less often than twice a day restart seldom. */
const SELDOM_PER_HOUR = 2 / 24;

/** Restarts on the new version beside those that the same devices would have shown in that time by their own habit. */
export interface RestartComparison {
  readonly devices: number;
  readonly hours: number;
  readonly hoursBefore: number;
  readonly restarts: number;
  readonly restartsBefore: number;
  /** Per device-hour. */
  readonly rate: number;
  /** Per device-hour: each device's own rate before, weighted by its time on the new version. */
  readonly rateBefore: number;
  /**
   * Restarts per device-hour beyond the tolerated rate, and the lower end of its confidence interval. Above 0 the
   * devices restart more often than the rollout allows.
   */
  readonly excess: number;
  readonly excessAtLeast: number;
}

/**
 * A device's usual restarts per hour: (restarts before + R) / (hours before + 1), R being the rate of all devices before,
 * so that a habit that is known for minutes is not trusted.
 */
function usualRates(observed: readonly ObservedDevice[]): (device: ObservedDevice) => number {
  const hours = sum(observed, (device) => device.hoursBefore);
  const pooled = hours === 0 ? 0 : sum(observed, (device) => device.restartsBefore) / hours;
  return ({ restartsBefore, hoursBefore }) => (restartsBefore + PRIOR_HOURS * pooled) / (hoursBefore + PRIOR_HOURS);
}

/**
 * Compares each device with itself. The excess of a device is what it shows beyond `ratio` times its usual restarts and
 * one a day. The standard error is that of a ratio of sums over devices, and at least that of a Poisson count: devices
 * differ more than a Poisson distribution says, and one board that restarts all the time widens the interval instead of
 * moving it.
 * @see https://en.wikipedia.org/wiki/Ratio_estimator
 */
export function compareRestarts(
  observed: readonly ObservedDevice[],
  ratio: number,
  usualRate = usualRates(observed),
): RestartComparison {
  const devices = observed.length;
  const restarts = sum(observed, (device) => device.restarts);
  const hours = sum(observed, (device) => device.hours);
  const beyond = (device: ObservedDevice) =>
    device.restarts - (ratio * usualRate(device) + TOLERATED_PER_HOUR) * device.hours;
  const perHour = (total: number) => (hours === 0 ? 0 : total / hours);
  const excess = perHour(sum(observed, beyond));
  const squares = sum(observed, (device) => (beyond(device) - excess * device.hours) ** 2);
  const betweenDevices = devices < 2 ? Number.POSITIVE_INFINITY : (squares * devices) / (devices - 1);
  const error = perHour(Math.sqrt(Math.max(betweenDevices, restarts)));
  return {
    devices,
    hours,
    hoursBefore: sum(observed, (device) => device.hoursBefore),
    restarts,
    restartsBefore: sum(observed, (device) => device.restartsBefore),
    rate: perHour(restarts),
    rateBefore: perHour(sum(observed, (device) => usualRate(device) * device.hours)),
    excess,
    excessAtLeast: excess - CONFIDENCE_Z * error,
  };
}

/**
 * The comparison that shows that devices restart too often; undefined while none does. Devices that usually restart
 * seldom are compared apart from those that restart often, such as deep sleepers: the wakes of the latter would hide the
 * crashes of the former.
 */
export function findExcess(observed: readonly ObservedDevice[], ratio: number): RestartComparison | undefined {
  const usualRate = usualRates(observed);
  const seldom = observed.filter((device) => usualRate(device) < SELDOM_PER_HOUR);
  const often = observed.filter((device) => usualRate(device) >= SELDOM_PER_HOUR);
  return [seldom, often]
    .map((group) => compareRestarts(group, ratio, usualRate))
    .find((compared) => isEnoughExposure(compared) && compared.excessAtLeast > 0);
}

export interface HealthHalt {
  readonly code: 'restarts' | 'later silence';
  readonly reason: string;
}

/**
 * The gate of release health. While the exposure is small or the interval includes what is allowed, it blocks nothing.
 * @param control comparable devices that were not sent the release
 */
export function checkHealth(
  { version, observed, later }: HealthEvidence,
  { maxRestartRatio, failureThreshold }: HealthLimits,
  control: ControlGroup,
): HealthHalt | undefined {
  if (maxRestartRatio !== null) {
    const excess = findExcess(observed, maxRestartRatio);
    if (excess !== undefined) return { code: 'restarts', reason: describeRestarts(version, excess, maxRestartRatio) };
  }
  return fellSilent(later, control, failureThreshold)
    ? { code: 'later silence', reason: describeSilence(version, later, control, failureThreshold) }
    : undefined;
}

export const isEnoughExposure = ({ devices, hours }: RestartComparison): boolean =>
  hours >= LEAST_DEVICE_HOURS && devices >= LEAST_DEVICES;

/** Above the limit, so that a running rollout halts; within it; or not enough exposure to tell. */
export const HEALTH_STATES = ['unchecked', 'too_little_exposure', 'within_limit', 'above_limit'] as const;
export type HealthState = (typeof HEALTH_STATES)[number];

export function healthState(observed: readonly ObservedDevice[], maxRestartRatio: number | null): HealthState {
  if (maxRestartRatio === null) return 'unchecked';
  if (!isEnoughExposure(compareRestarts(observed, maxRestartRatio))) return 'too_little_exposure';
  return findExcess(observed, maxRestartRatio) === undefined ? 'within_limit' : 'above_limit';
}

/** True if devices went silent: only then is the control group worth a statement. */
export const needsControl = ({ later }: HealthEvidence): boolean => later.silent >= LEAST_SILENT;

function fellSilent({ devices, silent }: LaterSilence, control: ControlGroup, threshold: number): boolean {
  if (silent < LEAST_SILENT || control.devices < LEAST_CONTROL_DEVICES) return false;
  const excess = excessSilence({ underWay: 0, proven: devices - silent, failed: 0, silent, undelivered: 0 }, control);
  return excess >= LEAST_SILENT && lowerBound(excess, devices) > threshold;
}

function describeRestarts(version: string, compared: RestartComparison, ratio: number): string {
  const { rate, hours, devices, rateBefore, hoursBefore } = compared;
  return `devices on ${version} restart ${perHour(rate)} times per hour (${count(hours)} device-hours of ${devices} devices), and ${perHour(rateBefore)} times before (${count(hoursBefore)} device-hours); the rollout allows ${count(ratio)} times as often and one restart a day`;
}

function describeSilence(version: string, later: LaterSilence, control: ControlGroup, threshold: number): string {
  return `${later.silent} of ${later.devices} devices went silent after they had proven ${version}, and ${control.silent} of ${control.devices} comparable devices in the same time; the rollout allows ${count(threshold * 100)}% more`;
}

const sum = <T>(items: readonly T[], value: (item: T) => number): number =>
  items.reduce((total, item) => total + value(item), 0);

const count = (value: number) =>
  String(Number(value.toPrecision(2)) >= 10 ? Math.round(value) : Number(value.toPrecision(2)));
const perHour = (rate: number) => String(Number(rate.toPrecision(2)));
