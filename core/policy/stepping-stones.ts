import { compareVersions, evaluateVersion, type VersionPolicy } from './versions.ts';

/** A registered release of the rollout's model. */
export interface RegisteredRelease {
  readonly id: number;
  readonly version: string;
  readonly min_version: string | null;
}

/** A release that a rollout assigns to devices: its own release or a stepping stone to it. */
export interface AssignableRelease {
  readonly releaseId: number;
  readonly version: string;
  readonly isSteppingStone: boolean;
  /** The current versions of the devices that get this release. */
  readonly fromVersions: readonly string[];
}

/**
 * Chooses a release for each version in use: the target if the version may be updated to it; otherwise, if it is below
 * the target's minimum version, the highest registered release from which a chain of releases leads to the target.
 * Versions with no such release are left out.
 */
export function chooseReleases(
  versionsInUse: readonly string[],
  target: RegisteredRelease,
  registered: readonly RegisteredRelease[],
  policy: Pick<VersionPolicy, 'allowDowngrade' | 'includeUnknown'>,
): AssignableRelease[] {
  const nextOf = pathFinder(target, registered, policy);
  const from = new Map<RegisteredRelease, string[]>();
  for (const version of versionsInUse) {
    const next = nextOf(version);
    if (next !== undefined) from.set(next, [...(from.get(next) ?? []), version]);
  }
  return [...from].map(([release, fromVersions]) => ({
    releaseId: release.id,
    version: release.version,
    isSteppingStone: release !== target,
    fromVersions,
  }));
}

/**
 * Caches the result for each version. Without a cache, chains that lead nowhere would be tried in every combination.
 */
function pathFinder(
  target: RegisteredRelease,
  registered: readonly RegisteredRelease[],
  policy: Pick<VersionPolicy, 'allowDowngrade' | 'includeUnknown'>,
): (current: string) => RegisteredRelease | undefined {
  const steppingStones = registered
    .filter(({ version }) => isBelow(version, target.version))
    .sort((a, b) => compareVersions(b.version, a.version) ?? 0);
  const known = new Map<string, RegisteredRelease | undefined>();

  function find(current: string): RegisteredRelease | undefined {
    const verdict = evaluateVersion(current, { ...policy, target: target.version, minVersion: target.min_version });
    if (verdict === 'eligible') return target;
    if (verdict !== 'below-minimum') return undefined;
    return steppingStones.find(({ version, min_version: minVersion }) => {
      const reachable = evaluateVersion(current, { ...UPGRADES_ONLY, target: version, minVersion });
      return isBelow(current, version) && reachable === 'eligible' && nextOf(version) !== undefined;
    });
  }
  function nextOf(current: string): RegisteredRelease | undefined {
    if (!known.has(current)) known.set(current, find(current));
    return known.get(current);
  }
  return nextOf;
}

const UPGRADES_ONLY = { allowDowngrade: false, includeUnknown: false };

const isBelow = (low: string, high: string) => (compareVersions(low, high) ?? 0) < 0;
