import { isDeepStrictEqual } from 'node:util';
import type { Context } from 'hono';
import { type RolloutDraft, rolloutDraft } from '../../api/rollouts.ts';
import type { Sql } from '../../core/db/index.ts';
import { asNewRollout, describeStall, describeState, previewRollout } from '../../core/explain/index.ts';
import { parseTarget } from '../../core/policy/index.ts';
import type { TrustRule } from '../../core/release-policy/index.ts';
import {
  countResumeDevices,
  getRollout,
  insertRollout,
  listNumberedRollouts,
  type RolloutRow,
  type RolloutValues,
} from '../../core/rollouts/index.ts';
import type { DeviceId, RolloutId } from '../../core/util/index.ts';
import { approvalResource, describeRequest, needsApproval, request } from './approvals.ts';
import { checkRelease } from './check-release.ts';
import { type Caller, json, type Services } from './context.ts';
import { previewRules } from './preview-rollout.ts';
import { invalid, notFound, RefusedCall } from './problems.ts';
import { decideSteppingStones, trustOf } from './stepping-stones.ts';

/**
 * A rollout in the form that the API returns.
 * @throws RefusedCall if it does not exist
 */
export async function getRolloutResource(services: Services, idOrName: string, caller: string) {
  const { sql, now, settings } = services;
  const rollout = await getRollout(sql, idOrName);
  if (rollout === undefined) throw notFound(`rollout ${idOrName}`);
  const approval = await approvalResource(services, rollout, caller);
  const waits =
    rollout.state === 'active' || (rollout.state === 'scheduled' && rollout.after_rollout_id !== null)
      ? await describeWait(sql, rollout.rollout_id, now(), trustOf(settings))
      : null;
  const waiting_for = waits ?? (approval === null ? null : describeRequest(approval));
  const isStopped = rollout.state === 'halted' || rollout.state === 'paused';
  const resume_devices = isStopped ? await countResumeDevices(sql, rollout.rollout_id) : null;
  return json({ ...rollout, waiting_for, resume_devices, needs_approval: needsApproval(services, rollout), approval });
}

/**
 * The same for the answer to a call, whose `ETag` it sets.
 * @throws RefusedCall if it does not exist
 */
export async function answerOf(services: Services, c: Context<Caller>, idOrName: string | number) {
  const rollout = await getRolloutResource(services, String(idOrName), c.get('caller'));
  c.header('etag', `"${rollout.updated_at}"`);
  return rollout;
}

async function describeWait(sql: Sql, rolloutId: RolloutId, now: Date, trust: TrustRule): Promise<string | null> {
  const state = await describeState(sql, rolloutId, now, trust);
  return state === null ? null : state + (await describeStall(sql, rolloutId, now));
}

/**
 * Creates a rollout, or finds the identical one that an earlier call created. Where the deployment requires approval, one
 * that is to start is a draft until a second person has approved it.
 * @throws RefusedCall if the rollout could never run
 */
export async function createRollout(
  services: Services,
  draft: RolloutDraft,
  by: string,
): Promise<{ id: RolloutId; isNew: boolean }> {
  const { sql, now } = services;
  const values = valuesOf(draft);
  const mustWait = values.is_active && services.settings.requireApproval;
  const known = await getRollout(sql, values.name);
  if (known !== undefined) return finish(sameRollout(known, values));
  await checkValues(services, values);
  const stepping_stones = await decideSteppingStones(services, values);
  const id = await insertRollout(
    sql,
    { ...values, is_active: values.is_active && !mustWait, stepping_stones },
    by,
    now(),
  );
  if (id !== undefined) return finish({ id, isNew: true });
  const existing = await getRollout(sql, values.name);
  if (existing === undefined) throw notFound(`rollout "${values.name}"`);
  return finish(sameRollout(existing, values));

  // A call that broke off before the request is repeated.
  async function finish(created: { id: RolloutId; isNew: boolean }) {
    const isDraft = created.isNew || known?.state === 'draft';
    if (mustWait && isDraft) await request(services, { rollout_id: created.id }, { action: 'start', reason: null, by });
    return created;
  }
}

/**
 * Creates a rollout that updates one device, or finds the one that an earlier call created and that has not finished.
 * Appends a number to the name if it is taken.
 * @throws RefusedCall that says why the device would not be updated
 */
export async function createForDevice(
  services: Services,
  deviceId: DeviceId,
  draft: RolloutDraft,
  by: string,
): Promise<number> {
  const values = valuesOf(draft);
  await checkRelease(services, values);
  const { willNot } = await previewRollout(services.sql, asNewRollout(values), previewRules(services, values));
  const [why] = willNot;
  if (why !== undefined) {
    const hint = why.reason.startsWith('newer') ? '; allow a downgrade to send it anyway' : '';
    throw new RefusedCall(409, `${deviceId} would not be updated to ${values.firmware_version}: ${why.reason}${hint}.`);
  }
  const before = await listNumberedRollouts(services.sql, values.name);
  const [newest] = before;
  if (newest?.is_awaited && newest.allow_downgrade === values.allow_downgrade) return newest.rollout_id;
  const name = before.length === 0 ? values.name : `${values.name} (${before.length + 1})`;
  return (await createRollout(services, { ...draft, name }, by)).id;
}

/** @throws RefusedCall if a rollout with these values could never run */
export async function checkValues(services: Services, values: RolloutValues): Promise<void> {
  checkTarget(values);
  await checkPredecessor(services.sql, values);
  checkEnd(values, services.now());
  checkCovers(values);
  await checkRelease(services, values);
}

export const valuesOf = (draft: RolloutDraft): RolloutValues => rolloutDraft.parse(draft);

function sameRollout(known: RolloutRow, values: RolloutValues): { id: RolloutId; isNew: boolean } {
  const keys = Object.keys(values) as (keyof RolloutValues)[];
  const before = json(known);
  // The service decides the stepping stones that a draft does not name.
  const isDecided = (key: string) => key === 'is_active' || (key === 'stepping_stones' && values[key] === null);
  const differing = keys.filter((key) => !isDecided(key) && !isDeepStrictEqual(before[key], json(values)[key]));
  if (differing.length === 0) return { id: known.rollout_id, isNew: false };
  throw new RefusedCall(
    409,
    `There is already a rollout "${values.name}" with another ${differing.join(', ')}; choose another name.`,
  );
}

function checkEnd({ start_at: start, end_at: end }: RolloutValues, now: Date): void {
  if (end === null) return;
  const earliest = start === null ? now : new Date(start);
  if (new Date(end) > earliest) return;
  throw invalid(
    'end_at',
    `${end} is not after ${start === null ? 'now' : 'start_at'}, ${earliest.toISOString()}: it would send nothing`,
  );
}

function checkCovers({ first_stage_covers: names, stages }: RolloutValues): void {
  if (names === null || (stages !== null && stages.length > 0)) return;
  const what = stages === null ? 'a slow start' : 'a rollout to all devices at once';
  throw invalid('first_stage_covers', `${what} has no first stage; give the rollout stages`);
}

async function checkPredecessor(sql: Sql, { after_rollout_id: id }: RolloutValues): Promise<void> {
  if (id === null) return;
  const before = await getRollout(sql, String(id));
  if (before === undefined) throw invalid('after_rollout_id', `there is no rollout ${id}`);
  if (before.state === 'aborted')
    throw invalid('after_rollout_id', `rollout "${before.name}" was aborted and never completes`);
}

export function checkTarget({
  target_type: type,
  target_filter: filter,
  rollout_percentage: percentage,
  device_model: model,
}: RolloutValues): void {
  const target = parseTarget(type, filter, percentage);
  if (!target.ok) throw invalid('target_filter', target.reason.replace(/^target_filter: /, ''));
  if (target.value.models !== null && !target.value.models.includes(model)) {
    throw invalid(
      'target_filter.models',
      `does not include ${model}, the model of the release, so no device would match`,
    );
  }
}
