import type { ApprovalAction, RolloutAction } from '../../api/rollouts.ts';
import { type ApprovableAction, listLooserLimits, statesFor } from '../../core/policy/index.ts';
import { listRecoveries, openOnes } from '../../core/recovery/index.ts';
import { whyNotSendable } from '../../core/release-policy/index.ts';
import {
  ANYONE,
  abortRollout,
  advanceRollout,
  changeRollout,
  loadRolloutRuntime,
  type Permission,
  type RolloutChange,
  type RolloutChanges,
  resumeRollout,
  retryFailed,
  startDraft,
  stopRollout,
  takeRequest,
} from '../../core/rollouts/index.ts';
import { noLongerWaits, request, requestFor } from './approvals.ts';
import { checkReleaseOf } from './check-release.ts';
import type { Services } from './context.ts';
import type { getRolloutResource } from './create-rollout.ts';
import { RefusedCall } from './problems.ts';
import { retryVersions } from './retry-versions.ts';
import { trustOf } from './stepping-stones.ts';

type Resource = Awaited<ReturnType<typeof getRolloutResource>>;

const cannot = ({ name }: Resource, action: string, why: string) =>
  new RefusedCall(409, `Rollout "${name}" cannot ${action}: ${why}.`);

/**
 * Does what an operator asks, or requests it if a second person must approve it.
 * @throws RefusedCall if the state of the rollout does not allow the action
 */
export async function act(
  services: Services,
  action: RolloutAction,
  change: RolloutChange,
  rollout: Resource,
): Promise<void> {
  const { sql, now, settings } = services;
  checkState(rollout, action);
  if (action === 'pause' || action === 'abort') {
    const done = await (action === 'pause' ? stopRollout : abortRollout)(sql, change, now());
    if (!done) throw cannot(rollout, action, 'it changed meanwhile');
    return;
  }
  if (action !== 'advance') await checkMayResume(services, rollout, action);
  if (settings.requireApproval) return request(services, rollout, { ...change, action });
  await perform(services, action, change, ANYONE, rollout);
}

/**
 * Approves what another person requested, and does it.
 * @throws RefusedCall if the caller requested it, or it is no longer possible
 */
export async function approve(
  services: Services,
  rollout: Resource,
  { request_id: requestId, reason }: ApprovalAction,
  by: string,
): Promise<void> {
  const { action } = await requestFor(services, rollout, requestId, by);
  if (action === 'start') await checkReleaseOf(services, rollout, action);
  else {
    checkState(rollout, action);
    if (action !== 'advance') await checkMayResume(services, rollout, action);
  }
  const change = { rolloutId: rollout.rollout_id, reason, by };
  await perform(services, action, change, requestId, rollout);
}

/**
 * Changes a rollout, and starts a draft, or requests its start if a second person must approve it.
 * @param etag `updated_at` of the rollout as the caller read it
 * @throws RefusedCall if it was changed since, or one person may not make the change
 */
export async function change(
  services: Services,
  rollout: Resource,
  changes: RolloutChanges,
  etag: string,
  by: string,
): Promise<void> {
  const { sql, now, settings } = services;
  const { name, state, updated_at: updatedAt } = rollout;
  if (rollout.completed_at !== null || rollout.aborted_at !== null) {
    throw new RefusedCall(409, `Rollout "${name}" is ${state}.`);
  }
  const changedMeanwhile = new RefusedCall(412, `Rollout "${name}" was changed at ${updatedAt}; read it again.`);
  if (etag !== updatedAt) throw changedMeanwhile;
  const { is_active: isActive, ...limits } = changes;
  const starts = isActive === true && !rollout.is_active;
  const looser = settings.requireApproval ? listLooserLimits(rollout, limits) : [];
  if (looser.length > 0 && (state === 'active' || state === 'scheduled')) throw mustNotLoosen(rollout, looser);
  if (starts && state === 'draft') await checkReleaseOf(services, rollout, 'start');
  const mustWait = starts && settings.requireApproval;
  const applied = mustWait ? limits : changes;
  const isDone =
    (mustWait && Object.keys(limits).length === 0) ||
    (await changeRollout(sql, rollout.rollout_id, applied, etag, by, now(), looser.length === 0));
  if (!isDone) throw changedMeanwhile;
  if (mustWait) await request(services, rollout, { action: 'start', reason: null, by });
}

const mustNotLoosen = (rollout: Resource, looser: readonly string[]) =>
  new RefusedCall(
    409,
    `Rollout "${rollout.name}" runs as a second person has approved it, and one person can only make it stricter: ${looser.join(', ')} would be looser. Pause it, change it and resume it; the resumption then waits for approval.`,
  );

function checkState(rollout: Resource, action: RolloutAction): void {
  const allowed: readonly string[] = statesFor(action);
  if (!allowed.includes(rollout.state)) throw cannot(rollout, action, `it is ${rollout.state}`);
}

async function checkMayResume(
  { sql, now, settings }: Services,
  rollout: Resource,
  action: ApprovableAction,
): Promise<void> {
  const { rollout_id: id } = rollout;
  const runtime = await loadRolloutRuntime(sql, id);
  const revoked = runtime?.revoked_reason ?? null;
  if (revoked !== null) throw cannot(rollout, action, `its release was revoked (${revoked}); abort it`);
  const why = runtime && whyNotSendable({ ...runtime, version: runtime.firmware_version }, trustOf(settings), now());
  if (why !== undefined) throw cannot(rollout, action, why);
  const [recovery] = openOnes(await listRecoveries(sql, id));
  if (recovery === undefined) return;
  throw cannot(rollout, action, `its devices are being sent back by rollout "${recovery.name}"; abort that first`);
}

/** @throws RefusedCall if it is not possible any more */
async function perform(
  services: Services,
  action: ApprovableAction,
  change: RolloutChange,
  permission: Permission,
  rollout: Resource,
): Promise<void> {
  const { sql, now } = services;
  const ACTS: Record<ApprovableAction, () => Promise<boolean>> = {
    start: () => startDraft(sql, change, permission, now()),
    resume: () => resumeRollout(sql, change, now(), permission),
    retry: async () => {
      const versions = await retryVersions(services, change.rolloutId);
      return (await retryFailed(sql, change, versions, now(), permission)) > 0;
    },
    advance: async () => {
      if (permission !== null && !(await takeRequest(sql, change, permission, now()))) return false;
      const done = await advanceRollout(sql, change, now());
      if (done !== true) throw cannot(rollout, action, done);
      return true;
    },
  };
  if (await ACTS[action]()) return;
  if (permission !== null) throw noLongerWaits(rollout.name, permission);
  const why = action === 'retry' ? 'none of its failed devices may still be updated' : 'it changed meanwhile';
  throw cannot(rollout, action, why);
}
