import type { ClaimedRelease } from './claiming.ts';
import { compareVersions, judgeVersion, type VersionPolicy } from './versions.ts';

/** A registered release of the rollout's model. */
export interface RegisteredRelease {
  readonly id: number;
  readonly version: string;
  readonly min_version: string | null;
}

/**
 * Which release the devices on each version are given: the target where it takes them; else, where its minimum bars
 * them, the highest registered release from which a chain of releases leads there. Versions that neither takes are left out.
 */
export function chooseReleases(
  versionsInUse: readonly string[],
  target: RegisteredRelease,
  registered: readonly RegisteredRelease[],
  policy: Pick<VersionPolicy, 'allowDowngrade' | 'includeUnknown'>,
): ClaimedRelease[] {
  const from = new Map<RegisteredRelease, string[]>();
  for (const version of versionsInUse) {
    const next = nextRelease(version, target, registered, policy);
    if (next !== undefined) from.set(next, [...(from.get(next) ?? []), version]);
  }
  return [...from].map(([release, fromVersions]) => ({
    releaseId: release.id,
    version: release.version,
    isSteppingStone: release !== target,
    fromVersions,
  }));
}

function nextRelease(
  current: string,
  target: RegisteredRelease,
  registered: readonly RegisteredRelease[],
  policy: Pick<VersionPolicy, 'allowDowngrade' | 'includeUnknown'>,
): RegisteredRelease | undefined {
  const verdict = judgeVersion(current, { ...policy, target: target.version, minVersion: target.min_version });
  if (verdict === 'eligible') return target;
  if (verdict !== 'below-minimum') return undefined;
  const between = registered
    .filter(({ version }) => isBetween(current, version, target.version))
    .sort((a, b) => compareVersions(b.version, a.version) ?? 0);
  return between.find((stone) => {
    const reachable = judgeVersion(current, { ...UPWARDS, target: stone.version, minVersion: stone.min_version });
    return reachable === 'eligible' && nextRelease(stone.version, target, between, policy) !== undefined;
  });
}

const UPWARDS = { allowDowngrade: false, includeUnknown: false };

const isBetween = (low: string, version: string, high: string) =>
  (compareVersions(version, low) ?? 0) > 0 && (compareVersions(version, high) ?? 0) < 0;
