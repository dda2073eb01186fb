/** The version of a device that never reported one. */
export const UNKNOWN_VERSION = 'unknown';

/** Field devices read at most 20 characters of a version; longer ones are stored with a warning. */
export const DEVICE_VERSION_LENGTH = 20;

/** A version whose place in an order is known. */
interface OrderedVersion {
  /** Of any number: 1.2, 1.2.3, 8.1.0.10, 2026.01.05. */
  readonly parts: readonly bigint[];
  /** The identifiers of a semver pre-release, [] for none. */
  readonly prerelease: readonly string[];
  /** Commits after the tag (`git describe`), 0 for the tag itself. */
  readonly commits: bigint;
  /** Built from sources with changes that were not committed (`git describe --dirty`). */
  readonly isDirty: boolean;
  /** The identifiers of semver build metadata, [] for none. */
  readonly build: readonly string[];
}

const IDENTIFIERS = '[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*';
const VERSION = new RegExp(`^(\\d+(?:\\.\\d+)*)(?:-(${IDENTIFIERS}))?(?:\\+(${IDENTIFIERS}))?$`);
/**
 * What `git describe --tags --dirty` adds to a tag, which is the default version of an ESP-IDF project
 * (tools/cmake/project.cmake).
 */
const DESCRIBED = /(?:-(\d+)-g[0-9a-f]{4,40})?(-dirty)?$/;

/** The text without the leading `v` of a tag: `v1.2.0` and `1.2.0` are one version. */
const withoutV = (version: string): string => version.trim().replace(/^v(?=\d)/i, '');

function parseVersion(version: string): OrderedVersion | undefined {
  const text = withoutV(version);
  const [suffix = '', commits, dirty] = DESCRIBED.exec(text) ?? [];
  const [, numbers, prerelease, build] = VERSION.exec(text.slice(0, text.length - suffix.length)) ?? [];
  if (numbers === undefined) return undefined;
  return {
    parts: numbers.split('.').map(BigInt),
    prerelease: prerelease?.split('.') ?? [],
    commits: BigInt(commits ?? 0),
    isDirty: dirty !== undefined,
    build: build?.split('.') ?? [],
  };
}

/** True if both texts name the same version. The text decides, a leading `v` aside: 1.4 and 1.4.0 differ, 1.0+7 and 1.0+8 too. */
export const isSameVersion = (a: string, b: string): boolean => withoutV(a) === withoutV(b);

/**
 * True if a device that reports this version runs the release. A release without build metadata is confirmed by any
 * build of it: 1.2.0+abc confirms 1.2.0; 1.2.0 does not confirm 1.2.0+abc.
 */
export function runsRelease(reported: string, releaseVersion: string): boolean {
  if (isSameVersion(reported, releaseVersion)) return true;
  return !releaseVersion.includes('+') && isSameVersion(reported.split('+', 1)[0] ?? '', releaseVersion);
}

/** True if the version names a pre-release, such as 2.0.0-rc.1. The commits of `git describe` are not one. */
export const isPrerelease = (version: string): boolean => (parseVersion(version)?.prerelease.length ?? 0) > 0;

/** True if the version names a build for a bench: a pre-release, or one of sources with changes that were not committed. */
export const isBenchBuild = (version: string): boolean =>
  isPrerelease(version) || (parseVersion(version)?.isDirty ?? false);

/**
 * Negative, 0 or positive, as `Array.sort` wants it; undefined where one of the two has no place in an order. Numeric
 * parts of any number, missing ones as 0; then pre-releases as semver orders them (semver.org, §11); then the commits
 * since the tag; then sources with changes after sources without; build metadata decides last.
 */
export function compareVersions(a: string, b: string): number | undefined {
  const [left, right] = [parseVersion(a), parseVersion(b)];
  if (left === undefined || right === undefined) return undefined;
  return (
    compareParts(left.parts, right.parts) ||
    comparePrereleases(left.prerelease, right.prerelease) ||
    compare(left.commits, right.commits) ||
    compare(Number(left.isDirty), Number(right.isDirty)) ||
    compareIdentifiers(left.build, right.build)
  );
}

function compare<T extends number | bigint | string>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareParts(a: readonly bigint[], b: readonly bigint[]): number {
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const order = compare(a[index] ?? 0n, b[index] ?? 0n);
    if (order !== 0) return order;
  }
  return 0;
}

/** A pre-release comes before the release that it leads to. */
function comparePrereleases(a: readonly string[], b: readonly string[]): number {
  if (a.length > 0 && b.length > 0) return compareIdentifiers(a, b);
  return compare(Number(a.length === 0), Number(b.length === 0));
}

/** Numbers by value and before words, words by their text; of two lists of which one continues the other, the shorter first. */
function compareIdentifiers(a: readonly string[], b: readonly string[]): number {
  for (let index = 0; index < Math.min(a.length, b.length); index++) {
    const order = compareIdentifier(a[index] ?? '', b[index] ?? '');
    if (order !== 0) return order;
  }
  return compare(a.length, b.length);
}

function compareIdentifier(a: string, b: string): number {
  const [isNumberA, isNumberB] = [/^\d+$/.test(a), /^\d+$/.test(b)];
  if (isNumberA && isNumberB) return compare(BigInt(a), BigInt(b));
  return isNumberA === isNumberB ? compare(a, b) : isNumberA ? -1 : 1;
}

export interface VersionPolicy {
  readonly target: string;
  readonly minVersion: string | null;
  /** Also devices that run a newer version. */
  readonly allowDowngrade: boolean;
  /** Also devices whose version is unknown, or has no place in an order with the target. */
  readonly includeUnknown: boolean;
  /** The releases of the model with an anti-rollback counter; empty if its devices have no anti-rollback. */
  readonly counters: readonly ReleaseCounter[];
}

/** A release whose image has an anti-rollback counter above 0. */
export interface ReleaseCounter {
  readonly version: string;
  readonly secure_version: number;
}

export type VersionVerdict =
  | 'eligible'
  | 'on-target'
  | 'newer'
  | 'below-minimum'
  | 'unknown'
  | 'not-comparable'
  | 'lower-counter';

/** The anti-rollback counter of the release that a device runs, 0 if none is known. */
const counterOf = (version: string, counters: readonly ReleaseCounter[]): number =>
  Math.max(
    0,
    ...counters.filter((release) => runsRelease(version, release.version)).map((each) => each.secure_version),
  );

/**
 * Whether a device that runs `current` may be sent the target. A device is never given an older version unless the
 * rollout allows a downgrade; two versions that have no order could be a downgrade, so they need permission too.
 * A device with anti-rollback never boots an image with a lower counter than it has run (ESP-IDF, ota.rst).
 */
export function evaluateVersion(current: string, policy: VersionPolicy): VersionVerdict {
  const verdict = evaluateOrder(current, policy);
  const { counters, target } = policy;
  const isLower = counterOf(current, counters) > counterOf(target, counters);
  return verdict === 'eligible' && isLower ? 'lower-counter' : verdict;
}

function evaluateOrder(current: string, policy: VersionPolicy): VersionVerdict {
  if (runsRelease(current, policy.target)) return 'on-target';
  if (current === UNKNOWN_VERSION) return policy.includeUnknown ? 'eligible' : 'unknown';
  const order = compareVersions(current, policy.target);
  // 1.4 and 1.4.0 have the same place and are not the same version: neither is an update of the other.
  const isOrdered = order !== undefined && order !== 0;
  if (!isOrdered) return policy.includeUnknown ? 'eligible' : 'not-comparable';
  if (order > 0 && !policy.allowDowngrade) return 'newer';
  if (policy.minVersion === null) return 'eligible';
  const aboveMinimum = compareVersions(current, policy.minVersion);
  if (aboveMinimum === undefined) return 'not-comparable';
  return aboveMinimum < 0 ? 'below-minimum' : 'eligible';
}
