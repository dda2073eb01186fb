import * as z from 'zod';
import { compareVersions, evaluateVersion, isBenchBuild, type VersionPolicy } from '../protocol/index.ts';
import { describeErrors, type ReleaseId, type Result } from '../util/index.ts';

/** A registered release of the rollout's model. */
export interface RegisteredRelease {
  readonly id: ReleaseId;
  readonly version: string;
  readonly min_version: string | null;
}

/** Versions of the stepping stones of a rollout, as its row and the API have them. */
export const steppingStonesSchema = z.array(z.string().min(1).max(64)).max(50);

export function parseSteppingStones(value: unknown): Result<readonly string[] | null> {
  const parsed = steppingStonesSchema.nullable().safeParse(value);
  if (parsed.success) return { ok: true, value: parsed.data };
  return { ok: false, reason: `stepping_stones: ${describeErrors(parsed.error)}` };
}

/** A release that a rollout assigns to devices: its own release or a stepping stone to it. */
export interface AssignableRelease {
  readonly releaseId: ReleaseId;
  readonly version: string;
  readonly isSteppingStone: boolean;
  /** The current versions of the devices that get this release. */
  readonly fromVersions: readonly string[];
}

/** What decides which versions may be updated, beside the release itself. */
export type ReleaseChoice = Pick<VersionPolicy, 'allowDowngrade' | 'includeUnknown' | 'counters'>;

/** True if a release may be a stepping stone to the target: it is older, and no build for a bench. */
export const isPossibleSteppingStone = (version: string, target: string): boolean =>
  isBelow(version, target) && !isBenchBuild(version);

/**
 * The stepping stones from every older version to a release, the highest first: those that {@link chooseReleases} would
 * choose from all registered releases, whatever versions are in use. Empty if the release has no minimum version.
 */
export function proposeSteppingStones(
  target: RegisteredRelease,
  registered: readonly RegisteredRelease[],
): RegisteredRelease[] {
  const candidates = registered.filter(({ version }) => isPossibleSteppingStone(version, target.version));
  const nextOf = pathFinder(target, candidates, UPGRADES_ONLY);
  const leading = candidates
    .filter(({ version }) => nextOf(version) !== undefined)
    .sort((a, b) => compareVersions(b.version, a.version) ?? 0);
  const proposed: RegisteredRelease[] = [];
  /** Every version from here up has its next release; null: every version has. */
  let served = target.min_version;
  for (const release of leading) {
    if (served === null) break;
    const { min_version: minimum } = release;
    if (minimum !== null && (compareVersions(minimum, served) ?? 0) >= 0) continue;
    proposed.push(release);
    served = minimum;
  }
  return proposed;
}

/**
 * Chooses a release for each version in use: the target if the version may be updated to it; otherwise, if it is below
 * the target's minimum version, the highest stepping stone from which a chain of releases leads to the target.
 * Versions with no such release are left out.
 */
export function chooseReleases(
  versionsInUse: readonly string[],
  target: RegisteredRelease,
  steppingStones: readonly RegisteredRelease[],
  policy: ReleaseChoice,
): AssignableRelease[] {
  const nextOf = pathFinder(target, steppingStones, policy);
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
  policy: ReleaseChoice,
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

const UPGRADES_ONLY = { allowDowngrade: false, includeUnknown: false, counters: [] };

const isBelow = (low: string, high: string) => (compareVersions(low, high) ?? 0) < 0;
