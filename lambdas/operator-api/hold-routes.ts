import * as routes from '../../api/holds.ts';
import { getDevice } from '../../core/devices/index.ts';
import {
  endHold,
  type HoldRow,
  type HoldTarget,
  listHolds,
  loadHoldEffect,
  MAX_HOLDS,
  setHold,
} from '../../core/holds/index.ts';
import { describeHeld, describeHold } from '../../core/policy/index.ts';
import { type App, json, type Services } from './context.ts';
import { decodeCursor, toPage } from './cursors.ts';
import { unknownDevice } from './device-contact.ts';
import { invalid, notFound, RefusedCall } from './problems.ts';
import { reachOfRemoval } from './reach.ts';

const HOLDS_PER_PAGE = 50;

/** @throws RefusedCall if the time has passed */
function timeToCome(name: string, text: string | undefined, now: Date): Date | null {
  if (text === undefined) return null;
  const time = new Date(text);
  if (time <= now) throw invalid(name, `${text} has passed; expected a time to come`);
  return time;
}

const shown = (hold: HoldRow) => json({ ...hold, text: describeHold(hold) });

export function addHoldRoutes(app: App, services: Services): void {
  const { sql, now } = services;

  const find = async (id: string): Promise<HoldRow> => {
    const [hold] = await listHolds(sql, { holdId: Number(id) });
    if (hold === undefined) throw notFound(`hold ${id}`);
    return hold;
  };

  const notEnded = async (id: string): Promise<HoldRow> => {
    const hold = await find(id);
    if (hold.ended_at === null) return hold;
    throw new RefusedCall(409, `Hold ${id} of ${describeHeld(hold)} ended at ${hold.ended_at.toISOString()}.`);
  };

  /** @throws RefusedCall if there is no such device, or no device in the group */
  const effectOf = async ({ deviceId, groupName }: HoldTarget) => {
    if (deviceId !== null && (await getDevice(sql, deviceId, { now: now(), pause: null })) === undefined) {
      throw await unknownDevice(services, deviceId);
    }
    const effect = await loadHoldEffect(sql, { deviceId, groupName });
    if (groupName !== null && effect.devices === 0) throw notFound(`group "${groupName}" with a device in it`);
    return effect;
  };

  app.openapi(routes.listHolds, async (c) => {
    const { state, limit: asked, cursor } = c.req.valid('query');
    const limit = Math.min(asked, HOLDS_PER_PAGE);
    const rows = await listHolds(sql, { state, before: decodeCursor(cursor, 'number'), limit });
    return c.json(
      toPage(rows.map(shown), limit, ({ hold_id: id }) => id),
      200,
    );
  });

  app.openapi(routes.previewHold, async (c) => {
    const { device_id: deviceId = null, group_name: groupName = null } = c.req.valid('query');
    if (deviceId !== null && groupName !== null) throw invalid('group_name', 'name a device or a group, not both');
    return c.json(await effectOf({ deviceId, groupName }), 200);
  });

  app.openapi(routes.setHold, async (c) => {
    const { scope, reason, starts_at, ends_at, ...named } = c.req.valid('json');
    const deviceId = named.device_id ?? null;
    const groupName = named.group_name ?? null;
    if ((scope === 'device') !== (deviceId !== null)) throw invalid('device_id', `expected for the scope device only`);
    if ((scope === 'group') !== (groupName !== null)) throw invalid('group_name', `expected for the scope group only`);
    const startsAt = timeToCome('starts_at', starts_at, now());
    const endsAt = timeToCome('ends_at', ends_at, now());
    if (startsAt !== null && endsAt !== null && endsAt <= startsAt) {
      throw invalid('ends_at', `${ends_at} is not after starts_at, ${starts_at}`);
    }
    await effectOf({ deviceId, groupName });
    const hold = await setHold(sql, { deviceId, groupName, reason, by: c.get('caller'), startsAt, endsAt }, now());
    if (hold === undefined) {
      throw new RefusedCall(
        409,
        `${MAX_HOLDS} holds are in force or planned, and no more can be: remove some, or hold a group of devices.`,
      );
    }
    return c.json(shown(await find(String(hold.id))), hold.isNew ? 201 : 200);
  });

  app.openapi(routes.getHold, async (c) => {
    const hold = await find(c.req.valid('param').hold);
    const reached_by = hold.ended_at === null ? await reachOfRemoval(services, hold.hold_id) : [];
    return c.json({ ...shown(hold), reached_by }, 200);
  });

  app.openapi(routes.removeHold, async (c) => {
    const { hold: id } = c.req.valid('param');
    const { hold_id: holdId } = await notEnded(id);
    const reached_by = await reachOfRemoval(services, holdId);
    const ended = await endHold(sql, { holdId, reason: c.req.valid('json').reason, by: c.get('caller') }, now());
    if (!ended) await notEnded(id);
    return c.json({ ...shown(await find(id)), reached_by }, 200);
  });
}
