import * as routes from '../../api/rollouts.ts';
import { asNewRollout } from '../../core/explain/index.ts';
import { eligibleVersions } from '../../core/orchestrator/index.ts';
import { resultText, statesFor, whyNotSendable } from '../../core/policy/index.ts';
import { listRecoveries, openOnes } from '../../core/recovery/index.ts';
import {
  abortRollout,
  advanceRollout,
  changeRollout,
  listFailures,
  listOutcomes,
  listRolloutDecisions,
  listRollouts,
  listStages,
  listUpdates,
  loadRolloutRuntime,
  type RolloutChange,
  type RolloutChanges,
  resumeRollout,
  retryFailed,
  stopRollout,
} from '../../core/rollouts/index.ts';
import { type App, json, type Services } from './context.ts';
import { checkTarget, createRollout, getRolloutResource, valuesOf } from './create-rollout.ts';
import { decodeCursor, toPage } from './cursors.ts';
import { readRolloutHealth } from './health.ts';
import { previewResource, previewSaved } from './preview-rollout.ts';
import { Refusal } from './problems.ts';
import { trustOf } from './stepping-stones.ts';

export function addRolloutRoutes(app: App, services: Services): void {
  const { sql, now } = services;
  const idOf = async (rollout: string) => (await getRolloutResource(services, rollout)).rollout_id;

  app.openapi(routes.previewRollout, async (c) => {
    const { name = 'preview', ...draft } = c.req.valid('json');
    const values = valuesOf({ name, ...draft });
    checkTarget(values);
    return c.json(await previewResource(services, asNewRollout(values)), 200);
  });

  app.openapi(routes.previewSavedRollout, async (c) => {
    return c.json(await previewSaved(services, await idOf(c.req.valid('param').rollout)), 200);
  });

  app.openapi(routes.createRollout, async (c) => {
    const { id, isNew } = await createRollout(services, c.req.valid('json'), c.get('caller'));
    return c.json(await getRolloutResource(services, String(id)), isNew ? 201 : 200);
  });

  app.openapi(routes.listRollouts, async (c) => {
    const { limit, cursor, state, model, name } = c.req.valid('query');
    const filter = { model, name, states: state === undefined ? undefined : [state] };
    const rows = await listRollouts(sql, filter, decodeCursor(cursor, 'number'), limit);
    return c.json(
      toPage(json(rows), limit, ({ rollout_id: id }) => id),
      200,
    );
  });

  app.openapi(routes.getRollout, async (c) => {
    const rollout = await getRolloutResource(services, c.req.valid('param').rollout);
    c.header('etag', `"${rollout.updated_at}"`);
    return c.json(rollout, 200);
  });

  app.openapi(routes.changeRollout, async (c) => {
    const rollout = await getRolloutResource(services, c.req.valid('param').rollout);
    const etag = c.req.valid('header')['if-match'].replaceAll('"', '');
    if (rollout.completed_at !== null || rollout.aborted_at !== null) throw hasEnded(rollout);
    const changes = c.req.valid('json') as RolloutChanges;
    const isDone =
      etag === rollout.updated_at &&
      (await changeRollout(sql, rollout.rollout_id, changes, etag, c.get('caller'), now()));
    if (!isDone)
      throw new Refusal(412, `Rollout "${rollout.name}" was changed at ${rollout.updated_at}; read it again.`);
    const changed = await getRolloutResource(services, String(rollout.rollout_id));
    c.header('etag', `"${changed.updated_at}"`);
    return c.json(changed, 200);
  });

  for (const [action, route] of routes.rolloutActions) {
    app.openapi(route, async (c) => {
      const rollout = await getRolloutResource(services, c.req.valid('param').rollout);
      const { reason } = c.req.valid('json');
      await act(services, action, { rolloutId: rollout.rollout_id, reason, by: c.get('caller') }, rollout);
      return c.json(await getRolloutResource(services, String(rollout.rollout_id)), 200);
    });
  }

  app.openapi(routes.rolloutProgress, async (c) => {
    const id = await idOf(c.req.valid('param').rollout);
    const [stages, failures, outcomes] = await Promise.all([
      listStages(sql, id),
      listFailures(sql, id),
      listOutcomes(sql, id),
    ]);
    return c.json(json({ stages, failures, outcomes }), 200);
  });

  app.openapi(routes.rolloutHealth, async (c) => {
    const id = await idOf(c.req.valid('param').rollout);
    return c.json(await readRolloutHealth(services, id), 200);
  });

  app.openapi(routes.rolloutUpdates, async (c) => {
    const id = await idOf(c.req.valid('param').rollout);
    const { limit, cursor, status, open } = c.req.valid('query');
    const found = await listUpdates(sql, id, { status, open }, decodeCursor(cursor, 'number'), limit);
    const rows = found.map((row) => ({ ...row, result: resultText(row.result_code) }));
    return c.json(
      toPage(json(rows), limit, ({ update_id: updateId }) => updateId),
      200,
    );
  });

  app.openapi(routes.rolloutDecisions, async (c) => {
    const id = await idOf(c.req.valid('param').rollout);
    return c.json({ items: json(await listRolloutDecisions(sql, id)) }, 200);
  });
}

interface RolloutState {
  readonly name: string;
  readonly state: string;
  readonly paused_reason: string | null;
}

const cannot = ({ name }: RolloutState, action: string, why: string) =>
  new Refusal(409, `Rollout "${name}" cannot ${action}: ${why}.`);

const hasEnded = ({ name, state }: RolloutState) => new Refusal(409, `Rollout "${name}" is ${state}.`);

/** @throws Refusal if the state of the rollout does not allow the action */
async function act(
  { sql, now, settings }: Services,
  action: routes.RolloutAction,
  change: RolloutChange,
  rollout: RolloutState,
): Promise<void> {
  const allowed: readonly string[] = statesFor(action);
  if (!allowed.includes(rollout.state)) throw cannot(rollout, action, `it is ${rollout.state}`);
  const trust = trustOf(settings);
  const notSendable = async () => {
    const runtime = await loadRolloutRuntime(sql, change.rolloutId);
    if (runtime === undefined) return undefined;
    if (runtime.revoked_reason !== null) return `its release was revoked (${runtime.revoked_reason}); abort it`;
    return whyNotSendable({ ...runtime, version: runtime.firmware_version }, trust, now());
  };
  const beingRecovered = async () => {
    const [recovery] = openOnes(await listRecoveries(sql, change.rolloutId));
    return recovery && `its devices are being sent back by rollout "${recovery.name}"; abort that first`;
  };
  const ACTS: Record<routes.RolloutAction, () => Promise<boolean | string>> = {
    pause: () => stopRollout(sql, change, now()),
    resume: async () => (await notSendable()) ?? (await beingRecovered()) ?? resumeRollout(sql, change, now()),
    abort: () => abortRollout(sql, change, now()),
    advance: () => advanceRollout(sql, change, now()),
    retry: async () => {
      const why = (await notSendable()) ?? (await beingRecovered());
      if (why !== undefined) return why;
      const active = await loadRolloutRuntime(sql, change.rolloutId);
      const versions = active === undefined ? [] : await eligibleVersions(sql, active, trust, now());
      const devices = await retryFailed(sql, change, versions, now());
      return devices > 0 || 'none of its failed devices may still be updated';
    },
  };
  const done = await ACTS[action]();
  if (done === true) return;
  throw cannot(rollout, action, typeof done === 'string' ? done : 'it changed meanwhile');
}
