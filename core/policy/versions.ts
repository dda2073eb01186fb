import semver from 'semver';

/** The version of a device that never reported one. */
export const UNKNOWN_VERSION = 'unknown';

/** Field devices read at most 20 characters of a version; longer versions are stored with a warning. */
export const DEVICE_VERSION_LENGTH = 20;

/**
 * True if two names mean the same version. A leading `v` and semver build metadata are ignored; text that is not semver
 * must be equal.
 */
export function isSameVersion(a: string, b: string): boolean {
  const [parsedA, parsedB] = [parse(a), parse(b)];
  return parsedA !== null && parsedB !== null ? semver.eq(parsedA, parsedB) : a === b;
}

/** Negative, 0 or positive as semver orders the versions; undefined if one of them is not semver. */
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
 * Decides whether a device on `current` may be updated to the target. Versions that are not semver cannot be ordered:
 * such a device may be updated, because nothing shows that it is newer, unless a minimum version is required, because
 * nothing shows that it meets it.
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
