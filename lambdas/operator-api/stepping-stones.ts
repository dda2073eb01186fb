import { isPossibleSteppingStone } from '../../core/policy/index.ts';
import { type TrustRule, trustRule } from '../../core/release-policy/index.ts';
import { getRelease, proposeFor } from '../../core/releases/index.ts';
import type { RolloutValues } from '../../core/rollouts/index.ts';
import type { Services } from './context.ts';
import { invalid } from './problems.ts';

/** The trust rule of the settings, which are read when it is applied. */
export const trustOf = (settings: Services['settings']): TrustRule => ({
  whyDistrusted: (model, release, now) => ruleOf(settings).whyDistrusted(model, release, now),
  bootsLowerCounter: (model) => ruleOf(settings).bootsLowerCounter(model),
});

const ruleOf = ({ models, signing }: Services['settings']) => trustRule(models, signing);

/**
 * Decides the stepping stones of a rollout that is created: those that its author names, otherwise those that the
 * preview proposes. Null while its release is not registered.
 * @throws RefusedCall if one that the author names cannot be a stepping stone
 */
export async function decideSteppingStones(services: Services, values: RolloutValues): Promise<string[] | null> {
  const { device_model: model, firmware_version: version, stepping_stones: named } = values;
  const target = await getRelease(services.sql, model, version);
  if (named !== null) {
    for (const name of named) await checkSteppingStone(services, values, name);
    if (named.length > 0 && target !== undefined && target.min_version === null) {
      throw invalid(
        'stepping_stones',
        `release ${version} has no minimum version, so every version is updated to it directly`,
      );
    }
    return named;
  }
  if (target === undefined) return null;
  const choice = { ...values, min_version: target.min_version, newest_release_id: null };
  const proposed = await proposeFor(
    services.sql,
    choice,
    { id: target.release_id, version },
    trustOf(services.settings),
    services.now(),
  );
  return proposed.map((release) => release.version);
}

async function checkSteppingStone(
  { sql, settings, now }: Services,
  { device_model: model, firmware_version: target }: RolloutValues,
  version: string,
): Promise<void> {
  const refuse = (why: string) => invalid('stepping_stones', `${version} ${why}`);
  const release = await getRelease(sql, model, version);
  if (release === undefined) throw refuse(`is not registered for ${model}; upload it before the rollout is created`);
  if (release.revoked_at !== null) throw refuse(`was revoked: ${release.revoked_reason}`);
  if (!isPossibleSteppingStone(version, target)) {
    throw refuse(`is not an older version than ${target}, or is a pre-release or a build of changed sources`);
  }
  const distrust = trustOf(settings).whyDistrusted(model, release, now());
  if (distrust !== null) throw refuse(`is not trusted: ${distrust}`);
}
