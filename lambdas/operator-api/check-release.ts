import { similarName } from '../../core/protocol/index.ts';
import { expectedChip, settingsOf, whyNotSendable } from '../../core/release-policy/index.ts';
import { getRelease, listModelsOf } from '../../core/releases/index.ts';
import type { RolloutValues } from '../../core/rollouts/index.ts';
import type { Services } from './context.ts';
import { invalid } from './problems.ts';
import { trustOf } from './stepping-stones.ts';

/**
 * A draft may wait for its release. A rollout that starts now needs a registered release for the chip of the model.
 * @throws RefusedCall if it has none
 */
export async function checkRelease(
  { sql, settings, now }: Services,
  values: Pick<RolloutValues, 'device_model' | 'firmware_version' | 'is_active'>,
): Promise<void> {
  const { device_model: model, firmware_version: version } = values;
  const release = await getRelease(sql, model, version);
  if (release === undefined) {
    if (!values.is_active) return;
    const similar = similarName(model, await listModelsOf(sql, version));
    const hint = similar === undefined ? 'upload it first, or create a draft' : `did you mean ${similar}?`;
    throw invalid('firmware_version', `no release ${version} is registered for ${model}: ${hint}`);
  }
  const notSendable = whyNotSendable(release, trustOf(settings), now());
  if (notSendable !== undefined) throw invalid('firmware_version', notSendable);
  const chip = expectedChip(model, settingsOf(settings.models, model));
  if (chip !== undefined && chip !== release.chip) {
    throw invalid('firmware_version', `release ${version} is for ${release.chip}, model ${model} has ${chip}`);
  }
}
