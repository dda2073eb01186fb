import * as routes from '../../api/rollout-routes.ts';
import { asNewRollout } from '../../core/explain/index.ts';
import { resultText } from '../../core/protocol/index.ts';
import {
  getRollout,
  listFailures,
  listOutcomes,
  listRolloutDecisions,
  listRollouts,
  listStages,
  listUpdates,
  readFunnel,
} from '../../core/rollouts/index.ts';
import { act, approve, change } from './act-on-rollout.ts';
import { reject } from './approvals.ts';
import { type App, json, type Services } from './context.ts';
import { answerOf, checkTarget, createRollout, getRolloutResource, valuesOf } from './create-rollout.ts';
import { decodeCursor, toPage } from './cursors.ts';
import { readRolloutHealth } from './health.ts';
import { previewResource, previewSaved } from './preview-rollout.ts';
import { notFound } from './problems.ts';
import { replaceDraft } from './replace-draft.ts';

export function addRolloutRoutes(app: App, services: Services): void {
  const { sql } = services;
  const idOf = async (idOrName: string) => {
    const rollout = await getRollout(sql, idOrName);
    if (rollout === undefined) throw notFound(`rollout ${idOrName}`);
    return rollout.rollout_id;
  };

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
    return c.json(await answerOf(services, c, id), isNew ? 201 : 200);
  });

  app.openapi(routes.listRollouts, async (c) => {
    const { limit, cursor, state, model, name, version } = c.req.valid('query');
    const filter = { model, name, version, states: state === undefined ? undefined : [state] };
    const rows = await listRollouts(sql, filter, decodeCursor(cursor, 'number'), limit);
    return c.json(
      toPage(json(rows), limit, ({ rollout_id: id }) => id),
      200,
    );
  });

  app.openapi(routes.getRollout, async (c) => {
    return c.json(await answerOf(services, c, c.req.valid('param').rollout), 200);
  });

  app.openapi(routes.changeRollout, async (c) => {
    const rollout = await getRolloutResource(services, c.req.valid('param').rollout, c.get('caller'));
    const etag = c.req.valid('header')['if-match'].replaceAll('"', '');
    await change(services, rollout, c.req.valid('json'), etag, c.get('caller'));
    return c.json(await answerOf(services, c, rollout.rollout_id), 200);
  });

  app.openapi(routes.replaceDraft, async (c) => {
    const rollout = await getRolloutResource(services, c.req.valid('param').rollout, c.get('caller'));
    const etag = c.req.valid('header')['if-match'].replaceAll('"', '');
    await replaceDraft(services, rollout, c.req.valid('json'), etag, c.get('caller'));
    return c.json(await answerOf(services, c, rollout.rollout_id), 200);
  });

  for (const [action, route] of routes.rolloutActions) {
    app.openapi(route, async (c) => {
      const rollout = await getRolloutResource(services, c.req.valid('param').rollout, c.get('caller'));
      const { reason } = c.req.valid('json');
      await act(services, action, { rolloutId: rollout.rollout_id, reason, by: c.get('caller') }, rollout);
      return c.json(await answerOf(services, c, rollout.rollout_id), 200);
    });
  }

  app.openapi(routes.approveRequest, async (c) => {
    const rollout = await getRolloutResource(services, c.req.valid('param').rollout, c.get('caller'));
    await approve(services, rollout, c.req.valid('json'), c.get('caller'));
    return c.json(await answerOf(services, c, rollout.rollout_id), 200);
  });

  app.openapi(routes.rejectRequest, async (c) => {
    const rollout = await getRolloutResource(services, c.req.valid('param').rollout, c.get('caller'));
    await reject(services, rollout, c.req.valid('json'), c.get('caller'));
    return c.json(await answerOf(services, c, rollout.rollout_id), 200);
  });

  app.openapi(routes.rolloutProgress, async (c) => {
    const id = await idOf(c.req.valid('param').rollout);
    const [funnel, stages, failures, outcomes] = await Promise.all([
      readFunnel(sql, id),
      listStages(sql, id),
      listFailures(sql, id),
      listOutcomes(sql, id),
    ]);
    return c.json(json({ funnel, stages, failures, outcomes }), 200);
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
