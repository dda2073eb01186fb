import semver from 'semver';

/** What a device that never said its version runs. */
export const UNKNOWN_VERSION = 'unknown';

/** Field devices read at most 20 characters of a version; longer ones are stored with a warning. */
export const DEVICE_VERSION_LENGTH = 20;

/** Whether two names mean the same version: a leading `v` and semver build metadata aside, text by equality. */
export function isSameVersion(a: string, b: string): boolean {
  const [parsedA, parsedB] = [parse(a), parse(b)];
  return parsedA !== null && parsedB !== null ? semver.eq(parsedA, parsedB) : a === b;
}

/** Negative, 0 or positive as semver orders them; undefined where one of them is not semver. */
export function compareVersions(a: string, b: string): number | undefined {
  const [parsedA, parsedB] = [parse(a), parse(b)];
  return parsedA === null || parsedB === null ? undefined : semver.compare(parsedA, parsedB);
}

export interface VersionPolicy {
  readonly target: string;
  readonly minVersion: string | null;
  readonly allowDowngrade: boolean;
  readonly includeUnknown: boolean;
}

export type VersionVerdict = 'eligible' | 'on-target' | 'newer' | 'below-minimum' | 'unknown' | 'not-comparable';

/**
 * Whether a device on `current` may be sent to the target. Semver decides; what is not semver cannot be ordered, so it
 * may be updated (nothing says it is newer) unless a minimum is required, which it cannot be shown to meet.
 */
export function evaluateVersion(current: string, policy: VersionPolicy): VersionVerdict {
  if (isSameVersion(current, policy.target)) return 'on-target';
  if (current === UNKNOWN_VERSION) return policy.includeUnknown ? 'eligible' : 'unknown';
  const [from, to] = [parse(current), parse(policy.target)];
  if (from !== null && to !== null && semver.gt(from, to) && !policy.allowDowngrade) return 'newer';
  if (policy.minVersion === null) return 'eligible';
  const minimum = parse(policy.minVersion);
  if (from === null || minimum === null) return 'not-comparable';
  return semver.lt(from, minimum) ? 'below-minimum' : 'eligible';
}

const parse = (version: string) => semver.parse(version.trim().replace(/^v(?=\d)/i, ''));
