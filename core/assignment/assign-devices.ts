import type { Sql } from '../db/index.ts';
import type { ClaimedRelease, Target } from '../policy/index.ts';
import type { ActiveRollout } from '../rollouts/index.ts';
import { IS_KEPT, MEMBER_CONDITION, targetValues, type Winner } from '../targeting/index.ts';

/** A rollout that claims, and those that go before it. */
export interface Claimer {
  readonly rollout: ActiveRollout;
  readonly target: Target;
  readonly winners: readonly Winner[];
}

const WINNERS = `SELECT w.id FROM rollout_configurations AS w WHERE (w.priority, w.id) > (:priority::integer, :rollout::bigint)`;

/**
 * Whether an update `u` bars its device from the rollout of the parameters: its own rollout wins and runs, or is newer and
 * has brought the device where it wanted it.
 */
export const BARS = `u.status <> 'canceled' AND (
           u.rollout_id IN (${WINNERS} AND w.is_active AND w.completed_at IS NULL AND w.aborted_at IS NULL)
           OR u.status = 'success' AND u.rollout_id IN (${WINNERS} AND w.id > :rollout::bigint))`;

/**
 * Whether an update of the device `d` rules out that it is claimed. OFFSET 0 keeps this a look-up by device: a rollout of
 * which no statistics know yet would else be joined as if it had next to none.
 */
const isTaken = (why: string) => `EXISTS (
           SELECT FROM device_update_status AS u WHERE u.device_id = d.device_id AND ${why} OFFSET 0)`;

/**
 * Asked apart and first: of a fleet that was walked through before it decides for all, and the index of claims alone
 * answers it. The sum keeps planners from an index by rollout, in which a new one has next to no rows, they think.
 */
const CLAIMED_BEFORE = 'u.rollout_id + 0 = :rollout AND u.firmware_version = :version AND NOT u.is_reclaimable';
const HELD = 'u.completed_at IS NULL AND u.rollout_id IS NOT NULL';

const claimable = (why: string) => `${MEMBER_CONDITION}
         AND :eligible::jsonb ? d.current_firmware_version
         AND (:threshold = repeat('f', 32) OR md5(:rollout::bigint || ':' || d.device_id) <= :threshold)
         AND NOT ${isTaken(CLAIMED_BEFORE)}
         AND NOT ${isTaken(`(${why})`)}
         AND NOT ${IS_KEPT}`;

/**
 * Devices `d` that the rollout may claim, over the parameters of {@link claimValues}: members by filter and hash, on a
 * version that may be updated, that this rollout has not claimed before and no rollout that wins over it has served or
 * keeps. What else this reads than devices and their updates belongs into the basis of a walk.
 */
const CLAIMABLE = claimable(BARS);

/** Those of them that no rollout holds. */
const CLAIMABLE_NOW = claimable(`${HELD} OR ${BARS}`);

/** Which devices are looked at: a stretch of a walk in the order of their ids (of their bytes), or those that have changed. */
export type Scope =
  | { readonly kind: 'stretch'; readonly after: string; readonly until: string | null }
  /** Since a transaction, by its number. */
  | { readonly kind: 'changes'; readonly since: string };

/** From the changes to their devices, one by one: how many there are is no matter of statistics. */
const CHANGED = `(SELECT DISTINCT c.device_id FROM device_changes AS c WHERE c.changed_in >= :since::xid8) AS changed
       CROSS JOIN LATERAL (SELECT * FROM devices WHERE devices.device_id = changed.device_id OFFSET 0) AS d`;

interface ScopeSql {
  readonly from: string;
  readonly where: string;
}

const SCOPES: Readonly<Record<Scope['kind'], ScopeSql>> = {
  stretch: {
    from: 'devices AS d',
    where: `d.device_id COLLATE "C" > :after::text AND (:until::text IS NULL OR d.device_id COLLATE "C" <= :until::text)`,
  },
  changes: { from: CHANGED, where: 'true' },
};

type Eligible = Pick<ClaimedRelease, 'version' | 'fromVersions'>;

const claimValues = ({ rollout, target, winners }: Claimer, release: Eligible, { kind, ...scope }: Scope) => ({
  rollout: rollout.id,
  priority: rollout.priority,
  threshold: rollout.stage_hash_cutoff,
  version: release.version,
  eligible: release.fromVersions,
  winners,
  ...targetValues(rollout.device_model, target),
  ...scope,
});

const lookStatement = ({ from, where }: ScopeSql) => `SELECT count(*)::integer AS found, max(device_id) AS until FROM (
       SELECT d.device_id COLLATE "C" AS device_id FROM ${from} WHERE ${where} AND ${CLAIMABLE}
       ORDER BY d.device_id COLLATE "C" LIMIT :limit
     ) AS looked_at`;

/** What a statement found in a scope, up to its limit; where it is reached, nothing is known behind the last. */
export interface Found {
  readonly found: number;
  /** The last of them, in the order of their ids; null: there is none. */
  readonly until: string | null;
}

const NOTHING: Found = { found: 0, until: null };

/** Devices of the scope that the rollout may claim, up to a limit, whether or not another rollout holds them. */
export async function findClaimable(
  sql: Sql,
  claimer: Claimer,
  release: Eligible,
  scope: Scope,
  limit: number,
): Promise<Found> {
  if (release.fromVersions.length === 0) return NOTHING;
  const values = { ...claimValues(claimer, release, scope), limit };
  const [row] = await sql.query<Found>(lookStatement(SCOPES[scope.kind]), values);
  return row ?? NOTHING;
}

/** The last device of a stretch of so many from `after` on, as a walk meets them; null: fewer are left. */
export async function endOfStretch(sql: Sql, model: string, after: string, devices: number): Promise<string | null> {
  const [row] = await sql.query<{ device_id: string }>(
    `SELECT device_id FROM devices WHERE device_model = :model AND device_id COLLATE "C" > :after::text
     ORDER BY device_id COLLATE "C" OFFSET :skipped LIMIT 1`,
    { model, after, skipped: devices - 1 },
  );
  return row?.device_id ?? null;
}

const claimStatement = ({ from, where }: ScopeSql) => `WITH fence AS (
       SELECT stage FROM rollout_runtime WHERE rollout_id = :rollout AND generation = :generation AND NOT is_stopped FOR SHARE
     ), picked AS MATERIALIZED (
       SELECT d.device_id COLLATE "C" AS device_id, d.current_firmware_version, fence.stage FROM fence, ${from}
       WHERE ${where} AND ${CLAIMABLE_NOW}
       ORDER BY d.device_id COLLATE "C"
       LIMIT :limit
     ), claimed AS (
       INSERT INTO device_update_status (device_id, rollout_id, release_id, firmware_version, is_stepping_stone, stage,
         previous_version, status, created_at, reported_at, deadline_at, enqueue_after, not_before)
       SELECT d.device_id, :rollout, :release, :version, :stone::boolean, d.stage, d.current_firmware_version, 'pending',
         :now::timestamptz, :now::timestamptz, :now::timestamptz + make_interval(days => :days::integer),
         :now::timestamptz + jitter.wait, :now::timestamptz + jitter.wait
       FROM picked AS d
       CROSS JOIN LATERAL (
         -- The first 24 bits of a hash of the device, as a share of the jitter: the same whenever it is claimed.
         SELECT ('x' || substr(md5(d.device_id || :rollout::bigint), 1, 6))::bit(24)::integer / 16777216.0
           * make_interval(mins => :jitter::integer) AS wait) AS jitter
       ON CONFLICT DO NOTHING
       RETURNING device_id, stage
     ), superseded AS (
       UPDATE device_update_status AS o SET is_replaced = true FROM claimed
       WHERE o.device_id = claimed.device_id AND o.rollout_id = :rollout AND o.is_reclaimable AND NOT o.is_replaced
     ), counted AS (
       SELECT stage, count(*)::integer AS claimed FROM claimed GROUP BY stage
     ), staged AS (
       UPDATE rollout_stages AS s SET assigned = s.assigned + counted.claimed
       FROM counted WHERE s.rollout_id = :rollout AND s.stage = counted.stage
     )
     SELECT (SELECT coalesce(sum(claimed), 0)::integer FROM counted) AS claimed,
       (SELECT count(*)::integer FROM picked) AS found, (SELECT max(device_id) FROM picked) AS until`;

/**
 * Claims devices of the scope for a rollout, at most `limit`: each becomes owed a command. A device has one open update,
 * which is a constraint, so that two claimers at once cannot claim a device twice; a rollout that was halted or resumed
 * since it was read claims nothing.
 */
export async function claimDevices(
  sql: Sql,
  claimer: Claimer,
  release: ClaimedRelease,
  scope: Scope,
  limit: number,
  now: Date,
): Promise<Found & { readonly claimed: number }> {
  if (release.fromVersions.length === 0) return { ...NOTHING, claimed: 0 };
  const { rollout } = claimer;
  const [row] = await sql.query<Found & { readonly claimed: number }>(claimStatement(SCOPES[scope.kind]), {
    ...claimValues(claimer, release, scope),
    generation: rollout.generation,
    release: release.releaseId,
    stone: release.isSteppingStone,
    days: rollout.give_up_days,
    jitter: rollout.jitter_minutes,
    limit,
    now,
  });
  return row ?? { ...NOTHING, claimed: 0 };
}

/** Goes from the devices of the scope to what holds them: what others have claimed may be most of the fleet. */
const takeOverStatement = ({ from, where }: ScopeSql) => `WITH held AS MATERIALIZED (
       SELECT o.id, d.device_id COLLATE "C" AS device_id FROM ${from}
       CROSS JOIN LATERAL (SELECT * FROM device_update_status AS u WHERE u.device_id = d.device_id OFFSET 0) AS o
       JOIN rollout_configurations AS l ON l.id = o.rollout_id AND (l.priority, l.id) < (:priority::integer, :rollout::bigint)
       WHERE o.status = 'pending' AND o.attempt = 0 AND o.rollout_id <> :rollout AND ${where} AND ${CLAIMABLE}
       ORDER BY d.device_id COLLATE "C" LIMIT :limit
     ), lost AS (
       SELECT o.id FROM held CROSS JOIN LATERAL (
         SELECT u.id, u.status, u.completed_at, u.attempt FROM device_update_status AS u
         WHERE u.id = held.id OFFSET 0 FOR UPDATE SKIP LOCKED) AS o
       WHERE o.status = 'pending' AND o.completed_at IS NULL AND o.attempt = 0
     ), canceled AS (
       UPDATE device_update_status AS u SET
         status = 'canceled', is_reclaimable = true, completed_at = :now::timestamptz, deadline_at = NULL,
         error_message = 'rollout "' || :name || '" took over'
       FROM lost WHERE u.id = lost.id
       RETURNING u.id
     )
     SELECT (SELECT count(*)::integer FROM held) AS found, (SELECT max(device_id) FROM held) AS until,
       (SELECT count(*)::integer FROM canceled) AS taken`;

/**
 * Cancels claims of rollouts that this one wins over, of devices of the scope on the given versions that it may claim, or
 * that are where it wants them, and that were sent nothing yet. Should it be stopped before it sends, the other may claim
 * them again. @returns how many were canceled
 */
export async function takeOverClaims(
  sql: Sql,
  claimer: Claimer,
  release: Eligible,
  scope: Scope,
  limit: number,
  now: Date,
): Promise<Found & { readonly taken: number }> {
  if (release.fromVersions.length === 0) return { ...NOTHING, taken: 0 };
  const values = { ...claimValues(claimer, release, scope), name: claimer.rollout.name, limit, now };
  const [row] = await sql.query<Found & { readonly taken: number }>(takeOverStatement(SCOPES[scope.kind]), values);
  return row ?? { ...NOTHING, taken: 0 };
}

/**
 * Whether a member is left that this rollout may still have to claim, where its walk is over: one that another rollout
 * holds, or that has changed since it was looked at.
 */
export async function hasClaimable(
  sql: Sql,
  claimer: Claimer,
  release: ClaimedRelease,
  since: string,
): Promise<boolean> {
  if (release.fromVersions.length === 0) return false;
  const [row] = await sql.query<{ found: boolean }>(
    `SELECT EXISTS (
       SELECT FROM device_update_status AS o JOIN devices AS d ON d.device_id = o.device_id
       WHERE o.completed_at IS NULL AND o.rollout_id <> :rollout AND ${CLAIMABLE}
     ) OR EXISTS (SELECT FROM ${CHANGED} WHERE ${CLAIMABLE}) AS found`,
    claimValues(claimer, release, { kind: 'changes', since }),
  );
  return row?.found ?? false;
}
