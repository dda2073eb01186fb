import { similarName } from '../../core/protocol/index.ts';
import { expectedChip, settingsOf, whyNotSendable } from '../../core/release-policy/index.ts';
import { getRelease, listModelsOf } from '../../core/releases/index.ts';
import type { RolloutValues } from '../../core/rollouts/index.ts';
import type { Services } from './context.ts';
import { invalid, RefusedCall } from './problems.ts';
import { trustOf } from './stepping-stones.ts';

type Values = Pick<RolloutValues, 'device_model' | 'firmware_version' | 'is_active'>;

/**
 * A draft may wait for its release. A rollout that starts now needs a registered release for the chip of the model.
 * @throws RefusedCall if it has none
 */
export async function checkRelease(services: Services, values: Values): Promise<void> {
  const why = await whyNotStartable(services, values);
  if (why !== undefined) throw invalid('firmware_version', why);
}

/**
 * The same of a rollout that exists, whose release may have been revoked since.
 * @throws RefusedCall that says what to do instead
 */
export async function checkReleaseOf(services: Services, rollout: Values & { readonly name: string }, action: string) {
  const why = await whyNotStartable(services, { ...rollout, is_active: true });
  if (why === undefined) return;
  throw new RefusedCall(
    409,
    `Rollout "${rollout.name}" cannot ${action}: ${why}. Start it when that has changed, or abort it and create a rollout of another release.`,
  );
}

async function whyNotStartable({ sql, settings, now }: Services, values: Values): Promise<string | undefined> {
  const { device_model: model, firmware_version: version } = values;
  const release = await getRelease(sql, model, version);
  if (release === undefined) {
    if (!values.is_active) return undefined;
    const similar = similarName(model, await listModelsOf(sql, version));
    const hint = similar === undefined ? 'upload it first, or create a draft' : `did you mean ${similar}?`;
    return `no release ${version} is registered for ${model}: ${hint}`;
  }
  const notSendable = whyNotSendable(release, trustOf(settings), now());
  if (notSendable !== undefined) return notSendable;
  const chip = expectedChip(model, settingsOf(settings.models, model));
  if (chip !== undefined && chip !== release.chip) {
    return `release ${version} is for ${release.chip}, model ${model} has ${chip}`;
  }
  return undefined;
}
