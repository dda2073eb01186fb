import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { HOLD_SCOPES, HOLD_TIME_OVER, type HoldFilter, ORCHESTRATOR } from '../policy/index.ts';
import { type DeviceId, ID } from '../util/index.ts';
import { HELD_BY_NAME, holdsOf, IN_FORCE, isHeld, isHeldByOne } from './held.ts';

/** A hold in force, as JSON within a row. */
export const heldBy = z.strictObject({
  hold_id: z.int(),
  scope: z.enum(HOLD_SCOPES),
  device_id: ID.device.nullable(),
  group_name: z.string().nullable(),
  reason: z.string(),
  created_at: z.string(),
  created_by: z.string().nullable(),
  starts_at: z.string().nullable(),
  began_at: z.string().nullable(),
  ends_at: z.string().nullable(),
});
export type HeldBy = RowOf<typeof heldBy>;

const holdRow = z.strictObject({
  ...heldBy.shape,
  created_at: z.date(),
  starts_at: z.date().nullable(),
  began_at: z.date().nullable(),
  ends_at: z.date().nullable(),
  ended_at: z.date().nullable(),
  ended_by: z.string().nullable(),
  ended_reason: z.string().nullable(),
  /** Devices that it holds, or would hold if it were in force. */
  devices: z.int(),
  /** Pending updates of those devices that no other hold keeps from being sent. */
  waiting: z.int(),
});

/** A hold as operators see it. */
export type HoldRow = RowOf<typeof holdRow>;

/** What a hold is for: a device, a group, or, without a name, the whole service. */
export interface HoldTarget {
  readonly deviceId: DeviceId | null;
  readonly groupName: string | null;
}

export interface NewHold extends HoldTarget {
  readonly reason: string;
  readonly by: string;
  /** Null: it begins now. */
  readonly startsAt: Date | null;
  readonly endsAt: Date | null;
}

/**
 * More holds would make each statement that sends slower; a group holds any number of devices. Those of the whole service
 * are counted by themselves, so that it can always be stopped. Planned holds count, too.
 */
export const MAX_HOLDS = 500;

const SCOPE = `CASE WHEN :device::text IS NOT NULL THEN 'device' WHEN :group::text IS NOT NULL THEN 'group' ELSE 'service' END`;

/**
 * Sets a hold. The same one, set again by the same operator before it has ended, changes nothing.
 * @returns its id, and whether it is new; undefined if {@link MAX_HOLDS} of its kind are in force or planned
 */
export async function setHold(
  sql: Sql,
  { deviceId, groupName, reason, by, startsAt, endsAt }: NewHold,
  now: Date,
): Promise<{ id: number; isNew: boolean } | undefined> {
  const [row] = await select(
    sql,
    z.strictObject({ id: z.int(), is_new: z.boolean() }),
    `WITH known AS (
       SELECT id FROM holds WHERE ended_at IS NULL AND scope = ${SCOPE} AND device_id IS NOT DISTINCT FROM :device::text
         AND group_name IS NOT DISTINCT FROM :group::text AND reason = :reason AND created_by = :by
         AND starts_at IS NOT DISTINCT FROM :startsAt::timestamptz AND ends_at IS NOT DISTINCT FROM :endsAt::timestamptz ORDER BY id LIMIT 1
     ), added AS (
       INSERT INTO holds (scope, device_id, group_name, reason, created_at, created_by, starts_at, began_at, ends_at)
       SELECT ${SCOPE}, :device, :group, :reason, :now::timestamptz, :by, :startsAt::timestamptz,
         CASE WHEN :startsAt::timestamptz IS NULL THEN :now::timestamptz END, :endsAt::timestamptz
       WHERE NOT EXISTS (SELECT FROM known) AND (SELECT count(*) FROM holds WHERE ended_at IS NULL
         AND (scope = 'service') = (:device::text IS NULL AND :group::text IS NULL)) < ${MAX_HOLDS}
       RETURNING id
     )
     SELECT id, true AS is_new FROM added UNION ALL SELECT id, false FROM known`,
    { device: deviceId, group: groupName, reason, by, startsAt, endsAt, now },
  );
  return row === undefined ? undefined : { id: row.id, isNew: row.is_new };
}

/**
 * Ends a hold before its time.
 * @returns false if it does not exist or had ended
 */
export async function endHold(
  sql: Sql,
  { holdId, reason, by }: { readonly holdId: number; readonly reason: string; readonly by: string },
  now: Date,
): Promise<boolean> {
  const rows = await sql.query(
    `UPDATE holds SET ended_at = :now::timestamptz, ended_by = :by, ended_reason = :reason
     WHERE id = :hold AND ended_at IS NULL RETURNING id`,
    { hold: holdId, reason, by, now },
  );
  return rows.length > 0;
}

/** Ends the holds whose end time has passed, then begins those whose start time has come. */
export async function applyHoldTimes(sql: Sql, now: Date): Promise<void> {
  await sql.query(
    `UPDATE holds SET ended_at = :now::timestamptz, ended_by = '${ORCHESTRATOR}', ended_reason = '${HOLD_TIME_OVER}'
     WHERE ended_at IS NULL AND ends_at <= :now::timestamptz`,
    { now },
  );
  await sql.query(
    `UPDATE holds SET began_at = :now::timestamptz
     WHERE ended_at IS NULL AND began_at IS NULL AND starts_at <= :now::timestamptz`,
    { now },
  );
}

/** True if a hold begins or ends now by its times. */
export const HAS_DUE_HOLDS = `EXISTS (SELECT FROM holds WHERE ended_at IS NULL
         AND (ends_at <= :now::timestamptz OR began_at IS NULL AND starts_at <= :now::timestamptz))`;

/** The next time at which a hold begins or ends by itself; null if none does. */
export const NEXT_HOLD_TIME = `(SELECT min(least(CASE WHEN began_at IS NULL THEN starts_at END, ends_at)) FROM holds WHERE ended_at IS NULL)`;

const IS_PENDING = `u.status = 'pending' AND u.completed_at IS NULL AND u.rollout_id IS NOT NULL`;

/** Of the whole fleet by the counters, because each of its updates would be read otherwise. */
const countedIn = (states: string) =>
  `(SELECT coalesce(sum(updates), 0)::integer FROM update_counts WHERE state IN (${states}))`;
const PENDING = countedIn(`'pending'`);
const UNDER_WAY = countedIn(`'sent', 'downloading', 'downloaded', 'installing', 'on_probation'`);
const DEVICES = '(SELECT coalesce(sum(devices), 0)::integer FROM version_counts)';

/** Rollouts `r` that may send. */
const ACTIVE = 'r.is_active AND r.paused_at IS NULL AND r.completed_at IS NULL AND r.aborted_at IS NULL';

const HOLDS_PER_PAGE = 200;

/** Holds, the newest first. @param holdId only this one */
export async function listHolds(
  sql: Sql,
  {
    state = 'in_force' as HoldFilter,
    before = null as number | null,
    limit = HOLDS_PER_PAGE,
    holdId = null as number | null,
  } = {},
): Promise<HoldRow[]> {
  return select(
    sql,
    holdRow,
    `SELECT h.id AS hold_id, h.scope, h.device_id, h.group_name, h.reason, h.created_at, h.created_by, h.starts_at, h.began_at, h.ends_at, h.ended_at,
       h.ended_by, h.ended_reason, c.devices,
       CASE WHEN NOT (${IN_FORCE}) THEN 0 WHEN h.scope = 'service' THEN ${PENDING}
         WHEN h.scope = 'device' THEN (SELECT count(*)::integer FROM device_update_status AS u
           WHERE u.device_id = h.device_id AND ${IS_PENDING})
         ELSE (SELECT count(*)::integer FROM device_groups AS m JOIN device_update_status AS u USING (device_id)
           WHERE m.group_name = h.group_name AND ${IS_PENDING}) END AS waiting
     FROM (
       SELECT * FROM holds WHERE (:hold::bigint IS NOT NULL OR CASE :state::text WHEN 'in_force' THEN ended_at IS NULL AND began_at IS NOT NULL WHEN 'planned' THEN began_at IS NULL AND ended_at IS NULL
           WHEN 'not_ended' THEN ended_at IS NULL ELSE ended_at IS NOT NULL END)
         AND (:hold::bigint IS NULL OR id = :hold::bigint) AND (:before::bigint IS NULL OR id < :before::bigint)
       ORDER BY id DESC LIMIT :limit) AS h
     CROSS JOIN LATERAL (
       SELECT CASE h.scope WHEN 'service' THEN ${DEVICES}
         WHEN 'device' THEN 1 ELSE (SELECT count(*)::integer FROM device_groups WHERE group_name = h.group_name) END AS devices) AS c
     ORDER BY h.id DESC`,
    { state, before, limit, hold: holdId },
  );
}

const holdsOfDevice = z.strictObject({ holds: z.array(heldBy) });

/** The holds in force that hold a device, the widest first. */
export async function listHoldsOf(sql: Sql, deviceId: DeviceId) {
  const [row] = await select(sql, holdsOfDevice, `SELECT ${holdsOf(':device::text')} AS holds`, { device: deviceId });
  return (row?.holds ?? []).map((hold) => ({
    ...hold,
    created_at: new Date(hold.created_at),
    starts_at: hold.starts_at === null ? null : new Date(hold.starts_at),
    began_at: hold.began_at === null ? null : new Date(hold.began_at),
    ends_at: hold.ends_at === null ? null : new Date(hold.ends_at),
  }));
}

const holdEffect = z.strictObject({
  devices: z.int(),
  already_held: z.int(),
  waiting: z.int(),
  under_way: z.int(),
  rollouts: z.int(),
});

/** What a hold would do, in numbers. */
export type HoldEffect = RowOf<typeof holdEffect>;

/** The effect of a hold that is not set yet. */
export async function loadHoldEffect(sql: Sql, { deviceId, groupName }: HoldTarget): Promise<HoldEffect> {
  const isOfService = deviceId === null && groupName === null;
  const [row] = isOfService
    ? await select(sql, holdEffect, EFFECT_ON_ALL)
    : await select(sql, holdEffect, EFFECT_ON_SOME, { device: deviceId, group: groupName });
  return row ?? { devices: 0, already_held: 0, waiting: 0, under_way: 0, rollouts: 0 };
}

const EFFECT_ON_ALL = `SELECT ${DEVICES} AS devices, ${PENDING} AS waiting, ${UNDER_WAY} AS under_way,
       CASE WHEN EXISTS (SELECT FROM holds AS h WHERE scope = 'service' AND ${IN_FORCE}) THEN ${DEVICES}
         ELSE (SELECT count(*)::integer FROM (${HELD_BY_NAME}) AS held) END AS already_held,
       (SELECT count(*)::integer FROM rollout_configurations AS r WHERE ${ACTIVE}) AS rollouts`;

const EFFECT_ON_SOME = `WITH covered AS MATERIALIZED (
       SELECT :device::text AS device_id WHERE :device::text IS NOT NULL
       UNION ALL SELECT g.device_id FROM device_groups AS g WHERE g.group_name = :group::text
     )
     SELECT (SELECT count(*)::integer FROM covered) AS devices,
       (SELECT count(*)::integer FROM covered WHERE ${isHeld('covered.device_id')}) AS already_held,
       (count(*) FILTER (WHERE u.status = 'pending'))::integer AS waiting,
       (count(*) FILTER (WHERE u.status <> 'pending'))::integer AS under_way,
       (SELECT count(*)::integer FROM rollout_configurations AS r WHERE ${ACTIVE} AND EXISTS (
          SELECT FROM covered JOIN devices AS d USING (device_id) WHERE d.device_model = r.device_model)) AS rollouts
     FROM covered JOIN device_update_status AS u USING (device_id)
     WHERE u.completed_at IS NULL AND u.rollout_id IS NOT NULL`;

const waitingUpdates = z.strictObject({ rollout_id: ID.rollout, devices: z.int() });

/** Pending updates that nothing but this hold keeps from being sent, by their rollouts. */
export async function listWaitingFor(sql: Sql, holdId: number): Promise<RowOf<typeof waitingUpdates>[]> {
  return select(
    sql,
    waitingUpdates,
    `SELECT u.rollout_id, count(*)::integer AS devices
     FROM device_update_status AS u JOIN rollout_configurations AS r ON r.id = u.rollout_id
     WHERE u.completed_at IS NULL AND u.status = 'pending' AND ${ACTIVE} AND ${isHeldByOne('u.device_id')}
     GROUP BY u.rollout_id`,
    { hold: holdId },
  );
}

/**
 * Gives pending updates of held devices their time again, so that none is given up because of a hold.
 */
export async function postponeHeld(sql: Sql, now: Date): Promise<void> {
  await sql.query(
    `UPDATE device_update_status AS u SET deadline_at = :now::timestamptz + make_interval(days => r.give_up_days)
     FROM rollout_configurations AS r
     WHERE r.id = u.rollout_id AND u.id IN (
       SELECT o.id FROM device_update_status AS o
       WHERE o.completed_at IS NULL AND o.status = 'pending' AND EXISTS (SELECT FROM holds AS h WHERE ${IN_FORCE})
         AND o.deadline_at <= :now::timestamptz + interval '7 days' AND ${isHeld('o.device_id')}
       LIMIT ${UPDATES_PER_CALL})
       AND u.deadline_at < :now::timestamptz + make_interval(days => r.give_up_days) / 2`,
    { now },
  );
}

const UPDATES_PER_CALL = 5_000;
