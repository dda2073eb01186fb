import { type Sql, select } from '../db/index.ts';
import {
  isPossibleSteppingStone,
  parseSteppingStones,
  proposeSteppingStones,
  type RegisteredRelease,
} from '../policy/index.ts';
import type { TrustRule } from '../release-policy/index.ts';
import type { ReleaseId } from '../util/index.ts';
import { loadRegisteredReleases, type ReleaseOfModel, releaseOfModel } from './releases.ts';

/** A rollout, or the draft of one, by what decides its stepping stones. */
export interface SteppingStoneChoice {
  readonly firmware_version: string;
  readonly device_model: string;
  /** Minimum version of its release; null: any version. */
  readonly min_version: string | null;
  /** As stored. Null: not decided yet. */
  readonly stepping_stones: unknown;
  /** The newest release at the time of the decision; null: the decision is made now. */
  readonly newest_release_id: ReleaseId | null;
}

/**
 * The decided stepping stones of a rollout that may be sent: registered when they were decided, not revoked since,
 * trusted now, and neither newer than the target nor builds for a bench. Empty while they are not decided.
 */
export async function loadSteppingStones(
  sql: Sql,
  choice: SteppingStoneChoice,
  trust: TrustRule,
  now: Date,
): Promise<ReleaseOfModel[]> {
  const parsed = parseSteppingStones(choice.stepping_stones);
  if (!parsed.ok || parsed.value === null || parsed.value.length === 0 || choice.min_version === null) return [];
  const named = await select(
    sql,
    releaseOfModel,
    `SELECT id, version, min_version, signing_key, signature_expires_at FROM firmware_releases
     WHERE device_model = :model AND version IN (SELECT jsonb_array_elements_text(:versions::jsonb)) AND revoked_at IS NULL
       AND (:until::bigint IS NULL OR id <= :until::bigint)
     ORDER BY id DESC`,
    { model: choice.device_model, versions: parsed.value, until: choice.newest_release_id },
  );
  return named.filter(
    (release) =>
      isPossibleSteppingStone(release.version, choice.firmware_version) &&
      trust.whyDistrusted(choice.device_model, release, now) === null,
  );
}

/** The stepping stones that are proposed to a release: see {@link proposeSteppingStones}. */
export async function proposeFor(
  sql: Sql,
  choice: SteppingStoneChoice,
  target: { readonly id: ReleaseId; readonly version: string },
  trust: TrustRule,
  now: Date,
): Promise<RegisteredRelease[]> {
  if (choice.min_version === null) return [];
  const registered = await loadRegisteredReleases(sql, choice.device_model, choice.newest_release_id);
  const allowed = registered.filter((release) => trust.whyDistrusted(choice.device_model, release, now) === null);
  return proposeSteppingStones({ ...target, min_version: choice.min_version }, allowed);
}
