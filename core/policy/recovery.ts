import { compareVersions, evaluateVersion, isSameVersion, runsRelease, UNKNOWN_VERSION } from '../protocol/index.ts';
import type { ReleaseId } from '../util/index.ts';
import type { RolloutState } from './rollout-states.ts';

/** The states in which a rollout sends nothing, so that the devices it updated can be sent back. */
export const RECOVERABLE_STATES: readonly RolloutState[] = ['halted', 'paused', 'completed', 'aborted'];

/** A registered release to which devices may be sent back. */
export interface EarlierRelease {
  readonly id: ReleaseId;
  readonly version: string;
  readonly min_version: string | null;
  /** Why it was revoked; null if it was not. */
  readonly revoked_reason: string | null;
  /** Why it is not trusted now; null if it is. */
  readonly distrust: string | null;
  /** Anti-rollback counter of the image; 0 if it has none. */
  readonly secure_version: number;
}

export interface RecoveryRules {
  /** True if devices are sent back to an older version only: where a second person must approve what is sent. */
  readonly onlyOlder?: boolean;
}

/** The release that devices are to leave. */
export type BadRelease = Pick<EarlierRelease, 'version' | 'secure_version'>;

/** Devices that a rollout sent its release to, and that are alike. */
export interface UpdatedDevices {
  /** The version that they reported last. */
  readonly version: string;
  /** The version that they ran before the update; null if it is not known. */
  readonly previous_version: string | null;
  /** True if they went silent in the update and have reported no version since: they may run the bad release. */
  readonly is_silent: boolean;
  /** True if the update is open and has not booted yet: it decides soon whether they run the bad release. */
  readonly is_under_way: boolean;
  readonly is_revoked: boolean;
  /** True if they report another model or MAC address, and no operator has accepted that. */
  readonly is_changed: boolean;
  /** True if a recovery that has not ended has assigned them. */
  readonly is_recovering: boolean;
  /** The rollout that is updating them now; null if none is. */
  readonly held_by: string | null;
}

export type RecoveryVerdict =
  | { readonly kind: 'recover'; readonly release: EarlierRelease; readonly mayRun: boolean }
  | { readonly kind: 'cannot'; readonly reason: string }
  | { readonly kind: 'recovering' | 'under way' | 'not on it' };

/**
 * Decides whether devices are sent back, and to which release: the one that they ran before. Devices that do not run the
 * bad release, and cannot have booted it since they were last heard of, are left alone.
 */
export function evaluateRecovery(
  devices: UpdatedDevices,
  bad: BadRelease,
  releases: readonly EarlierRelease[],
  { onlyOlder = false }: RecoveryRules = {},
): RecoveryVerdict {
  const runsIt = runsRelease(devices.version, bad.version);
  if (devices.is_recovering) return { kind: 'recovering' };
  if (devices.is_under_way) return { kind: 'under way' };
  if (!runsIt && !devices.is_silent) return { kind: 'not on it' };
  const release = releaseBefore(devices.previous_version, releases);
  const reason = whyNot(devices, bad, release) ?? (onlyOlder ? whyNotOlder(bad, release) : undefined);
  if (reason !== undefined) return { kind: 'cannot', reason };
  return release === undefined ? { kind: 'not on it' } : { kind: 'recover', release, mayRun: !runsIt };
}

const whyNotOlder = (bad: BadRelease, release: EarlierRelease | undefined) =>
  release !== undefined && (compareVersions(release.version, bad.version) ?? 0) > 0
    ? `release ${release.version} is newer than ${bad.version}, and a second person must approve it: create a rollout of it`
    : undefined;

/** The release of a version. Two releases can have one version with and without a leading `v`: a usable one is preferred. */
function releaseBefore(version: string | null, releases: readonly EarlierRelease[]): EarlierRelease | undefined {
  if (version === null) return undefined;
  const named = releases.filter((release) => runsRelease(version, release.version));
  const exact = named.filter((release) => isSameVersion(version, release.version));
  const candidates = exact.length > 0 ? exact : named;
  return (
    candidates.find(({ revoked_reason, distrust }) => revoked_reason === null && distrust === null) ?? candidates[0]
  );
}

/** Devices are sent back to any version, older or not, that their present one may be updated to. */
const ANY_ORDER = { allowDowngrade: true, includeUnknown: true, counters: [] };

function whyNot(
  { version, previous_version: previous, is_revoked, is_changed, held_by }: UpdatedDevices,
  bad: BadRelease,
  release: EarlierRelease | undefined,
): string | undefined {
  if (is_revoked) return 'the identity of the device was revoked';
  if (is_changed) return 'the device reports another model or MAC address, which nobody has accepted';
  if (held_by !== null) return `rollout "${held_by}" is updating the device now`;
  if (previous === null || previous === UNKNOWN_VERSION) return 'the version before the update is not known';
  if (release === undefined) return `no release ${previous} is registered`;
  if (release.revoked_reason !== null) return `release ${release.version} was revoked: ${release.revoked_reason}`;
  if (release.distrust !== null) return `release ${release.version} is not trusted: ${release.distrust}`;
  if (release.secure_version < bad.secure_version) {
    return `release ${release.version} has secure version ${release.secure_version}, below ${bad.secure_version} of ${bad.version}: a device with anti-rollback refuses it`;
  }
  const current = runsRelease(version, bad.version) ? version : bad.version;
  const verdict = evaluateVersion(current, { target: release.version, minVersion: release.min_version, ...ANY_ORDER });
  if (verdict === 'eligible') return undefined;
  if (verdict === 'on-target') return `the version before the update was ${bad.version}, too`;
  return `release ${release.version} needs at least ${release.min_version}`;
}
