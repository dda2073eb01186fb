import { randomUUID } from 'node:crypto';
import * as routes from '../../api/service.ts';
import { schemaVersion } from '../../core/db/index.ts';
import {
  countDevices,
  countRejections,
  countSeen,
  countVersions,
  listRejectedMessages,
  listVersionHistory,
} from '../../core/devices/index.ts';
import { runTickAlone } from '../../core/orchestrator/index.ts';
import { listDecisions, listRollouts, type RolloutSummaryRow } from '../../core/rollouts/index.ts';
import { logger } from '../shared/log.ts';
import { type App, json, type Services } from './context.ts';
import { decodeCursor, toPage } from './cursors.ts';
import { notFound } from './problems.ts';

const VERSION = '1';
/** Maximum rejected messages in one statement. */
const MESSAGES_PER_PAGE = 40;

export function addServiceRoutes(app: App, services: Services): void {
  const { sql, now, settings, deadLetters, dispatch } = services;

  app.openapi(routes.getFleet, async (c) => {
    const [idleSince, devices, versions, seen, rollouts, rejections, dead] = await Promise.all([
      services.idleSince(),
      countDevices(sql),
      countVersions(sql),
      countSeen(sql, now()),
      listRollouts(sql, { states: ['active', 'scheduled', 'halted', 'paused'] }, null, 50),
      countRejections(sql, now()),
      deadLetters.list(),
    ]);
    const attention = [
      ...rollouts.filter(({ state }) => state === 'halted' || state === 'paused').map(describeStop),
      ...dead.filter(({ messages }) => messages > 0).map(describeDeadLetters),
      ...describeRejections(rejections),
    ];
    return c.json(json({ devices, idle_since: idleSince ?? null, seen, versions, rollouts, attention }), 200);
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
    return c.json(
      toPage(json(rows), limit, ({ id }) => id),
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
    const [database] = await sql.query<{ at: Date }>('SELECT now() AS at');
    const info = {
      version: VERSION,
      schema_version: await schemaVersion(sql),
      database_time: database?.at ?? now(),
      topic_prefix: settings.topicPrefix,
      caller: c.get('caller'),
    };
    return c.json(json(info), 200);
  });

  app.openapi(routes.runTick, async (c) => {
    const tick = await runTickAlone(sql, `operator ${c.get('caller')} ${randomUUID()}`, now(), dispatch);
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

const describeStop = ({ rollout_id: id, name, paused_reason: reason, state }: RolloutSummaryRow) => ({
  kind: `rollout_${state}`,
  message: `Rollout "${name}" is ${state}${reason === null ? '' : `: ${reason}`}`,
  link: `/rollouts/${id}`,
});

const counted = (count: number, noun: string, ending: string) =>
  count === 1 ? `1 ${noun} was ${ending}` : `${count} ${noun}s were ${ending}`;

const describeDeadLetters = ({ queue, messages }: { queue: string; messages: number }) => ({
  kind: 'dead_letters',
  message: `${counted(messages, 'message', 'not handled')} and wait${messages === 1 ? 's' : ''} in the ${queue} queue`,
  link: null,
});

function describeRejections(counts: { readonly rejected_messages: number; readonly rejected_uploads: number }) {
  const { rejected_messages: messages, rejected_uploads: uploads } = counts;
  return [
    ...(uploads === 0
      ? []
      : [
          {
            kind: 'rejected_uploads',
            message: counted(uploads, 'upload', 'rejected in the last day'),
            link: '/releases',
          },
        ]),
    ...(messages === 0
      ? []
      : [
          {
            kind: 'rejected_messages',
            message: counted(messages, 'message', 'rejected in the last day'),
            link: null,
          },
        ]),
  ];
}
