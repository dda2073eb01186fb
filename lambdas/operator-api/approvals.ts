import type { ApprovalAction } from '../../api/rollouts.ts';
import {
  type ApprovableAction,
  actionsToApprove,
  approvableStates,
  describeSamePerson,
} from '../../core/policy/index.ts';
import {
  type ApprovalRequest,
  countResumeDevices,
  countRetryDevices,
  decideSteppingStonesOf,
  getRollout,
  listApprovalRequests,
  type RolloutRow,
  rejectRequest,
  requestApproval,
} from '../../core/rollouts/index.ts';
import type { RolloutId } from '../../core/util/index.ts';
import { checkReleaseOf } from './check-release.ts';
import type { Services } from './context.ts';
import { previewSaved } from './preview-rollout.ts';
import { notFound, RefusedCall } from './problems.ts';
import { retryVersions } from './retry-versions.ts';
import { trustOf } from './stepping-stones.ts';

/** The actions on a rollout that a second person must approve. */
export const needsApproval = ({ settings }: Services, { state }: Pick<RolloutRow, 'state'>): ApprovableAction[] =>
  settings.requireApproval ? actionsToApprove(state) : [];

/** The request that waits for a rollout in the form that the API returns; null if there is none. */
export async function approvalResource(
  { sql }: Services,
  { rollout_id, requested_action }: RolloutRow,
  caller: string,
) {
  if (requested_action === null) return null;
  const [request] = await listApprovalRequests(sql, rollout_id);
  if (request === undefined) return null;
  const { rollout_id: _, rollout_name: __, ...shown } = request;
  return { ...shown, refusal: describeSamePerson(request.requested_by, caller) ?? null };
}

/** Says what waits, and who requested it. */
export const describeRequest = ({ action, requested_by: by }: Pick<ApprovalRequest, 'action' | 'requested_by'>) =>
  `approval by a second person: ${by} requested ${WORDS[action]}`;

const WORDS: Readonly<Record<ApprovableAction, string>> = {
  start: 'its start',
  resume: 'its resumption',
  retry: 'a retry of its failed devices',
  advance: 'its next stage',
};

/**
 * Requests an action that waits for a second person. A repeated call of the same operator changes nothing.
 * @throws RefusedCall if somebody else's request waits, or the rollout cannot be approved as it is
 */
export async function request(
  services: Services,
  { rollout_id: rolloutId }: Pick<RolloutRow, 'rollout_id'>,
  { action, reason, by }: { readonly action: ApprovableAction; readonly reason: string | null; readonly by: string },
): Promise<void> {
  const { sql, now } = services;
  await decideSteppingStonesOf(sql, rolloutId, trustOf(services.settings), now());
  const rollout = await getRollout(sql, String(rolloutId));
  if (rollout === undefined) throw notFound(`rollout ${rolloutId}`);
  if (!approvableStates(action).includes(rollout.state)) {
    throw new RefusedCall(409, `Rollout "${rollout.name}" cannot ${action}: it is ${rollout.state}.`);
  }
  // An approval is for the bytes that are sent.
  await checkReleaseOf(services, rollout, action);
  const [waiting] = await listApprovalRequests(sql, rolloutId);
  if (waiting?.requested_by === by && waiting.action === action && waiting.reason === reason) return;
  if (waiting !== undefined && waiting.requested_by !== by) throw alreadyRequested(rollout.name, waiting);
  const preview = await previewSaved(services, rolloutId);
  const devices = await countDevices(services, rollout, action, preview.will_be_updated);
  const unchangedSince = rollout.updated_at.toISOString();
  const requested = { rolloutId, action, devices, targets: preview.targeted, reason, by, unchangedSince };
  if (await requestApproval(sql, requested, now())) return;
  const [other] = await listApprovalRequests(sql, rolloutId);
  if (other !== undefined) throw alreadyRequested(rollout.name, other);
  throw new RefusedCall(409, `Rollout "${rollout.name}" was changed meanwhile; read it again.`);
}

const alreadyRequested = (name: string, { requested_by: by, action }: ApprovalRequest) =>
  new RefusedCall(409, `Rollout "${name}" waits already: ${by} requested ${WORDS[action]}. Approve or reject that.`);

/** How many devices an action would send to before the gates decide again. */
async function countDevices(
  services: Services,
  { rollout_id: id, name }: RolloutRow,
  action: ApprovableAction,
  eligible: number,
): Promise<number> {
  if (action === 'retry') {
    const devices = await countRetryDevices(services.sql, id, await retryVersions(services, id));
    if (devices > 0) return devices;
    throw new RefusedCall(409, `Rollout "${name}" cannot retry: none of its failed devices may still be updated.`);
  }
  return (action === 'resume' ? await countResumeDevices(services.sql, id) : null) ?? eligible;
}

/**
 * The request that a caller may approve.
 * @throws RefusedCall if it no longer waits, or the caller requested it
 */
export async function requestFor(
  { sql }: Services,
  { rollout_id: id, name }: Pick<RolloutRow, 'rollout_id' | 'name'>,
  requestId: number,
  caller: string,
): Promise<ApprovalRequest> {
  const waiting = await findRequest(sql, { id, name }, requestId);
  const why = describeSamePerson(waiting.requested_by, caller);
  if (why !== undefined) throw new RefusedCall(403, `You cannot approve rollout "${name}": ${why}.`);
  return waiting;
}

/** @throws RefusedCall if the request no longer waits */
export async function reject(
  { sql, now }: Services,
  { rollout_id: id, name }: Pick<RolloutRow, 'rollout_id' | 'name'>,
  { request_id: requestId, reason }: ApprovalAction,
  by: string,
): Promise<void> {
  await findRequest(sql, { id, name }, requestId);
  if (!(await rejectRequest(sql, { requestId, reason, by }, now()))) throw noLongerWaits(name, requestId);
}

async function findRequest(
  sql: Services['sql'],
  { id, name }: { readonly id: RolloutId; readonly name: string },
  requestId: number,
): Promise<ApprovalRequest> {
  const [waiting] = await listApprovalRequests(sql, id);
  if (waiting?.request_id !== requestId) throw noLongerWaits(name, requestId);
  return waiting;
}

/** A request that was decided by somebody else, replaced, or voided by a change of its rollout. */
export const noLongerWaits = (name: string, requestId: number) =>
  new RefusedCall(
    409,
    `Request ${requestId} of rollout "${name}" no longer waits: it was decided, taken back, or the rollout was changed since. Read the rollout again.`,
  );
