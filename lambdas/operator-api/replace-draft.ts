import type { RolloutDraft } from '../../api/rollouts.ts';
import { getRollout, replaceDraft as storeDraft } from '../../core/rollouts/index.ts';
import type { Services } from './context.ts';
import { checkValues, type getRolloutResource, valuesOf } from './create-rollout.ts';
import { invalid, RefusedCall } from './problems.ts';
import { decideSteppingStones } from './stepping-stones.ts';

/**
 * Replaces a draft, with the checks of a new rollout. Starting it is a change of its own, which states its effect.
 * @param etag `updated_at` of the draft as the caller read it
 * @throws RefusedCall if it is no draft, was changed since, or could never run as it is given
 */
export async function replaceDraft(
  services: Services,
  rollout: Awaited<ReturnType<typeof getRolloutResource>>,
  draft: RolloutDraft,
  etag: string,
  by: string,
): Promise<void> {
  const { sql, now } = services;
  const { rollout_id: id, name, state, updated_at: updatedAt } = rollout;
  const values = valuesOf(draft);
  if (state !== 'draft') throw new RefusedCall(409, `Rollout "${name}" is ${state}; only a draft can be replaced.`);
  const changedMeanwhile = new RefusedCall(412, `Rollout "${name}" was changed at ${updatedAt}; read it again.`);
  if (etag !== updatedAt) throw changedMeanwhile;
  if (values.is_active) throw invalid('is_active', 'must be false: a draft is started by a change of it');
  if (values.after_rollout_id === id) throw invalid('after_rollout_id', 'is the draft itself, which would never start');
  const namesake = await getRollout(sql, values.name);
  if (namesake !== undefined && namesake.rollout_id !== id)
    throw new RefusedCall(409, `There is already a rollout "${values.name}"; choose another name.`);
  await checkValues(services, values);
  const stepping_stones = await decideSteppingStones(services, values);
  if (!(await storeDraft(sql, id, { ...values, stepping_stones }, etag, by, now()))) throw changedMeanwhile;
}
