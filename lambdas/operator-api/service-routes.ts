import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import * as routes from '../../api/service.ts';
import { schemaVersion, select } from '../../core/db/index.ts';
import {
  countDevices,
  countRevoked,
  countSeen,
  countVersions,
  listRejectedMessages,
  listVersionHistory,
} from '../../core/devices/index.ts';
import { readableBeginning } from '../../core/ingest/index.ts';
import { runTickAlone } from '../../core/orchestrator/index.ts';
import { listDecisions, listRollouts } from '../../core/rollouts/index.ts';
import { loadProcessedUntil } from '../../core/updates/index.ts';
import { logger } from '../shared/log.ts';
import { listAttention } from './attention.ts';
import { type App, json, type Services } from './context.ts';
import { decodeCursor, toPage } from './cursors.ts';
import { notFound } from './problems.ts';
import { trustOf } from './stepping-stones.ts';

const VERSION = '1';
/** Maximum rejected messages in one statement. */
const MESSAGES_PER_PAGE = 40;

export function addServiceRoutes(app: App, services: Services): void {
  const { sql, now, settings, deadLetters, dispatch } = services;

  app.openapi(routes.getFleet, async (c) => {
    const at = { now: now(), pause: await services.recordingPause() };
    const idleSince = at.pause !== null && at.pause.to > at.now ? at.pause.from : null;
    const [devices, revoked, versions, seen, rollouts, attention] = await Promise.all([
      countDevices(sql),
      countRevoked(sql),
      countVersions(sql),
      countSeen(sql, at),
      listRollouts(sql, { states: ['active', 'scheduled', 'halted', 'paused'] }, null, 50),
      listAttention(services),
    ]);
    return c.json(json({ devices, revoked, idle_since: idleSince, seen, versions, rollouts, attention }), 200);
  });

  app.openapi(routes.fleetHistory, async (c) => {
    const items = await listVersionHistory(sql, c.req.valid('query').hours, now());
    return c.json({ items: json(items) }, 200);
  });

  app.openapi(routes.listEvents, async (c) => {
    const { after, limit } = c.req.valid('query');
    return c.json({ items: json(await listDecisions(sql, after, limit)) }, 200);
  });

  app.openapi(routes.listRejectedMessages, async (c) => {
    const { limit: asked, cursor } = c.req.valid('query');
    const limit = Math.min(asked, MESSAGES_PER_PAGE);
    const rows = await listRejectedMessages(sql, decodeCursor(cursor, 'number'), limit);
    const items = rows.map((row) => ({ ...row, beginning: readableBeginning(Buffer.from(row.payload, 'base64')) }));
    return c.json(
      toPage(json(items), limit, ({ id }) => id),
      200,
    );
  });

  app.openapi(routes.listDeadLetters, async (c) => c.json({ items: await deadLetters.list() }, 200));

  app.openapi(routes.redriveDeadLetters, async (c) => {
    const { queue } = c.req.valid('json');
    const moved = await deadLetters.redrive(queue);
    if (moved === undefined) throw notFound(`dead-letter queue "${queue}"`);
    return c.json(moved, 202);
  });

  app.openapi(routes.serviceInfo, async (c) => {
    const [database] = await select(sql, z.strictObject({ at: z.date() }), 'SELECT now() AS at');
    const info = {
      version: VERSION,
      schema_version: await schemaVersion(sql),
      database_time: database?.at ?? now(),
      topic_prefix: settings.topicPrefix,
      caller: c.get('caller'),
      requires_approval: settings.requireApproval,
    };
    return c.json(json(info), 200);
  });

  app.openapi(routes.runTick, async (c) => {
    const holder = `operator ${c.get('caller')} ${randomUUID()}`;
    const at = now();
    const processedUntil = await loadProcessedUntil(sql, at);
    const rules = { trust: trustOf(settings), requireApproval: settings.requireApproval };
    const tick = await runTickAlone(sql, holder, at, dispatch, rules, processedUntil);
    const problems = tick?.problems ?? [];
    for (const { rolloutId, error } of problems) logger.error(`rollout ${rolloutId}`, error as Error);
    const driven = tick?.rollouts.map(({ rollout, state, assigned, pending }) => ({
      rollout,
      state,
      assigned,
      pending: pending.length,
    }));
    const failed = problems.map(({ rolloutId }) => rolloutId);
    return c.json({ ran: driven !== undefined, rollouts: driven ?? [], failed }, 200);
  });
}
