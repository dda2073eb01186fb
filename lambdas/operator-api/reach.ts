import type { DeviceChange as ChangeBody, Reach } from '../../api/reach.ts';
import {
  countReached,
  type DeviceChange,
  InvalidRolloutError,
  listModelVersions,
  previewRollout,
} from '../../core/explain/index.ts';
import { listWaitingFor } from '../../core/holds/index.ts';
import { type IssueRow, isFreed, listKeptUpdates } from '../../core/known-issues/index.ts';
import { listRunnableRolloutIds, loadRolloutRuntime, type RolloutRuntime } from '../../core/rollouts/index.ts';
import type { Services } from './context.ts';
import { previewRules } from './preview-rollout.ts';

/** What the end of a hold would send: what waits for it, and what is assigned then. */
export async function reachOfRemoval(services: Services, holdId: number): Promise<Reach[]> {
  const { sql } = services;
  const waiting = new Map((await listWaitingFor(sql, holdId)).map((row) => [row.rollout_id, row.devices]));
  return listReach(services, null, async (rollout) => {
    const saved = { ...rollout, isSaved: true };
    const { held } = await previewRollout(sql, saved, previewRules(services, rollout));
    const freed = held.find(({ hold }) => hold.hold_id === holdId)?.byItAlone ?? 0;
    return freed + (waiting.get(rollout.id) ?? 0);
  });
}

/** What the end of a known issue would send. @param fixedIn the release that fixes it; null: it is withdrawn */
export async function reachOfIssueEnd(services: Services, issue: IssueRow, fixedIn: string | null): Promise<Reach[]> {
  const { sql } = services;
  const pending = await listKeptUpdates(sql, issue, fixedIn);
  const sum = (groups: readonly { readonly devices: number }[]) =>
    groups.reduce((total, { devices }) => total + devices, 0);
  return listReach(services, [issue.device_model], async (rollout) => {
    const saved = { ...rollout, isSaved: true };
    const { keptByIssues } = await previewRollout(sql, saved, previewRules(services, rollout));
    const freed = keptByIssues.filter(
      ({ issues, version }) => issues.length === 1 && issues[0] === issue.issue_id && isFreed(version, fixedIn),
    );
    return sum(freed) + sum(pending.filter(({ rollout_id: id }) => id === rollout.id));
  });
}

/** What a change of devices would send that has not been made yet. */
export async function reachOfChange(services: Services, change: DeviceChange): Promise<Reach[]> {
  const { sql } = services;
  if (change.deviceIds.length === 0) return [];
  const known = await listModelVersions(sql, change.deviceIds);
  const stated = change.identity?.model ?? null;
  const models = new Set([...known.map(({ model }) => model), ...(stated === null ? [] : [stated])]);
  const versions = [...new Set(known.map(({ version }) => version))];
  return listReach(services, [...models], (rollout) =>
    countReached(sql, { ...rollout, isSaved: true }, previewRules(services, rollout), change, versions),
  );
}

export const toChange = (body: ChangeBody): DeviceChange => ({
  deviceIds: body.device_ids,
  joinGroups: body.join_groups ?? [],
  leaveGroups: body.leave_groups ?? [],
  attributes: body.metadata ?? {},
  reinstates: body.reinstate ?? false,
  ...(body.accept_identity && { identity: { model: body.device_model ?? null } }),
});

/**
 * The devices of each rollout that may send, as `count` says; those with none are left out, and so is one whose row is
 * not valid: the next tick halts it.
 */
async function listReach(
  { sql }: Services,
  models: readonly string[] | null,
  count: (rollout: RolloutRuntime) => Promise<number>,
): Promise<Reach[]> {
  const reached: Reach[] = [];
  for (const id of await listRunnableRolloutIds(sql, models)) {
    const rollout = await loadRolloutRuntime(sql, id);
    if (rollout === undefined) continue;
    const devices = await count(rollout).catch((error: unknown) => {
      if (error instanceof InvalidRolloutError) return 0;
      throw error;
    });
    const { name: rollout_name, firmware_version } = rollout;
    if (devices > 0) reached.push({ rollout_id: id, rollout_name, firmware_version, devices });
  }
  return reached;
}
