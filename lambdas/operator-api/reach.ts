import type { Reach } from '../../api/holds.ts';
import { type Preview, previewRollout } from '../../core/explain/index.ts';
import { listWaitingFor } from '../../core/holds/index.ts';
import { listActiveRolloutIds, loadRolloutRuntime, type RolloutRuntime } from '../../core/rollouts/index.ts';
import type { Services } from './context.ts';
import { previewRules } from './preview-rollout.ts';

/** The devices that a preview counts because of a change. */
type Counted = (preview: Preview) => number;

/** What the end of a hold would send: what waits for it, and what is assigned then. */
export async function reachOfRemoval(services: Services, holdId: number): Promise<Reach[]> {
  const waiting = new Map((await listWaitingFor(services.sql, holdId)).map((row) => [row.rollout_id, row.devices]));
  const freed: Counted = ({ held }) => held.find(({ hold }) => hold.hold_id === holdId)?.byItAlone ?? 0;
  return reachOfActive(services, async (rollout) => {
    const preview = await previewRollout(services.sql, { ...rollout, isSaved: true }, previewRules(services, rollout));
    return freed(preview) + (waiting.get(rollout.id) ?? 0);
  });
}

/** Of each active rollout, the devices that `count` says; those with none are left out. */
async function reachOfActive({ sql }: Services, count: (rollout: RolloutRuntime) => Promise<number>): Promise<Reach[]> {
  const reached: Reach[] = [];
  for (const id of await listActiveRolloutIds(sql)) {
    const rollout = await loadRolloutRuntime(sql, id);
    if (rollout === undefined) continue;
    const devices = await count(rollout);
    const { name: rollout_name, firmware_version } = rollout;
    if (devices > 0) reached.push({ rollout_id: id, rollout_name, firmware_version, devices });
  }
  return reached;
}
