import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { HELD_BY_NAME } from '../holds/index.ts';
import { type AssignableRelease, FAILED_LIST, type Target } from '../policy/index.ts';
import { jitterWait, type RolloutRuntime } from '../rollouts/index.ts';
import {
  cutoffValues,
  type HigherPriorityRollout,
  imagesOf,
  type KnownIssue,
  targetValues,
} from '../targeting/index.ts';
import { ID } from '../util/index.ts';
import { BY_STORED_CUTOFF, passesAll, type RuleInputs } from './assignment-rules.ts';

/** A rollout that assigns devices, with the rollouts that have a higher priority and the known issues of its releases. */
export interface AssignmentContext {
  readonly rollout: RolloutRuntime;
  readonly target: Target;
  readonly higherPriority: readonly HigherPriorityRollout[];
  readonly knownIssues: readonly KnownIssue[];
}

const INPUTS: RuleInputs = {
  eligible: ':eligible::jsonb @> to_jsonb(d.current_firmware_version)',
  version: ':version',
  images: imagesOf('f.version = :version'),
  ...BY_STORED_CUTOFF,
};

/**
 * Devices `d` that the rollout may assign, over the parameters of {@link assignmentValues}, including those with an open
 * update of another rollout and those that are held: a rollout takes over their pending updates, so that the end of a
 * hold sends nothing that is outdated, and does not complete without them. Any other input of this condition must be part of the scan fingerprint, or changes to it
 * are missed until the next full scan.
 */
const ASSIGNABLE = passesAll(INPUTS, 'busy', 'held');

/** The assignable devices that are not held and have no open update. */
const ASSIGNABLE_NOW = passesAll(INPUTS);

/**
 * The devices that a statement examines: a chunk of a scan, in the order of the bytes of their ids, or the devices that
 * have changed.
 */
export type Scope =
  | { readonly kind: 'chunk'; readonly after: string; readonly until: string | null }
  /** `since` is the id of a transaction; changes made before it are excluded. */
  | { readonly kind: 'changes'; readonly since: string };

/**
 * Looks up each changed device by itself, so that the plan does not depend on statistics about the number of changes.
 */
const CHANGED = `(SELECT DISTINCT c.device_id FROM device_changes AS c WHERE c.changed_in >= :since::xid8) AS changed
       CROSS JOIN LATERAL (SELECT * FROM devices WHERE devices.device_id = changed.device_id OFFSET 0) AS d`;

interface ScopeSql {
  readonly from: string;
  readonly where: string;
}

const SCOPES: Readonly<Record<Scope['kind'], ScopeSql>> = {
  chunk: {
    from: 'devices AS d',
    where: `d.device_id COLLATE "C" > :after::text AND (:until::text IS NULL OR d.device_id COLLATE "C" <= :until::text)`,
  },
  changes: { from: CHANGED, where: 'true' },
};

type EligibleRelease = Pick<AssignableRelease, 'version' | 'fromVersions'>;

const assignmentValues = (
  { rollout, target, higherPriority, knownIssues }: AssignmentContext,
  release: EligibleRelease,
  { kind, ...scope }: Scope,
) => ({
  rollout: rollout.id,
  priority: rollout.priority,
  ...cutoffValues(rollout),
  version: release.version,
  eligible: release.fromVersions,
  higherPriority,
  knownIssues,
  ...targetValues(rollout.device_model, target),
  ...scope,
});

const findStatement = ({ from, where }: ScopeSql) => `SELECT count(*)::integer AS found, max(device_id) AS until FROM (
       SELECT d.device_id COLLATE "C" AS device_id FROM ${from} WHERE ${where} AND ${ASSIGNABLE}
       ORDER BY d.device_id COLLATE "C" LIMIT :limit
     ) AS found_devices`;

const found = z.strictObject({
  found: z.int(),
  /** The last device id found, in the order of ids; null if none was found. */
  until: z.string().nullable(),
});

/**
 * What a statement found in a scope, up to its limit. If the limit was reached, devices after `until` were not
 * examined.
 */
export type Found = RowOf<typeof found>;

const NONE_FOUND: Found = { found: 0, until: null };

/**
 * Devices of the scope that the rollout may assign, up to a limit, including those with an open update of another
 * rollout.
 */
export async function findAssignable(
  sql: Sql,
  context: AssignmentContext,
  release: EligibleRelease,
  scope: Scope,
  limit: number,
): Promise<Found> {
  if (release.fromVersions.length === 0) return NONE_FOUND;
  const values = { ...assignmentValues(context, release, scope), limit };
  const [row] = await select(sql, found, findStatement(SCOPES[scope.kind]), values);
  return row ?? NONE_FOUND;
}

/** The last device id of a chunk of `devices` devices after `after`, in scan order; null if fewer are left. */
export async function endOfChunk(sql: Sql, model: string, after: string, devices: number): Promise<string | null> {
  const [row] = await select(
    sql,
    z.strictObject({ device_id: ID.device }),
    `SELECT device_id FROM devices WHERE device_model = :model AND device_id COLLATE "C" > :after::text
     ORDER BY device_id COLLATE "C" OFFSET :skipped LIMIT 1`,
    { model, after, skipped: devices - 1 },
  );
  return row?.device_id ?? null;
}

/**
 * True if the last rollout that says something about the board `d` is one that others finished and that it failed in.
 * A halted or aborted rollout says something about its build, not about the board.
 */
export const FAILED_BEFORE = `coalesce((
           SELECT u.status <> 'success' AND u.late_success_at IS NULL
             -- The range and the order match an index: a plan by statistics may read the table if no device was proven.
             AND coalesce((SELECT true FROM device_update_status AS o WHERE o.rollout_id >= u.rollout_id
               AND o.rollout_id <= u.rollout_id AND o.status = 'success' AND o.completed_at IS NOT NULL
               ORDER BY o.rollout_id LIMIT 1), false)
           FROM device_update_status AS u JOIN rollout_configurations AS r ON r.id = u.rollout_id
           WHERE u.device_id = d.device_id AND u.completed_at IS NOT NULL AND u.rollout_id <> :rollout
             AND (u.status = 'success' OR r.completed_at IS NOT NULL
               AND u.status IN ${FAILED_LIST} AND u.cause IN ('build', 'silence', 'delivery'))
           ORDER BY u.id DESC LIMIT 1), false)`;

const assignStatement = ({ from, where }: ScopeSql) => `WITH fence AS (
       SELECT stage FROM rollout_runtime WHERE rollout_id = :rollout AND generation = :generation AND NOT is_stopped FOR SHARE
     ), picked AS MATERIALIZED (
       SELECT d.device_id, d.current_firmware_version, fence.stage FROM fence, ${from}
       WHERE ${where} AND ${ASSIGNABLE_NOW}
       ORDER BY d.device_id COLLATE "C"
       LIMIT :limit
     ), assigned AS (
       INSERT INTO device_update_status (device_id, rollout_id, release_id, firmware_version, is_stepping_stone, failed_before, stage,
         generation, previous_version, status, created_at, reported_at, deadline_at, enqueue_after, not_before)
       SELECT d.device_id, :rollout, :release, :version, :steppingStone::boolean, b.failed_before, d.stage, :generation, d.current_firmware_version, 'pending',
         :now::timestamptz, :now::timestamptz, :now::timestamptz + make_interval(days => :days::integer),
         -- The rollout's own release goes before its stepping stones: a device that passed one is next.
         :now::timestamptz + jitter.wait
           - CASE WHEN :steppingStone::boolean OR :jitter::integer > 0 THEN interval '0' ELSE interval '1 year' END,
         :now::timestamptz + jitter.wait
       FROM picked AS d CROSS JOIN LATERAL (SELECT ${FAILED_BEFORE} AS failed_before) AS b
       CROSS JOIN LATERAL (
         SELECT ${jitterWait('d.device_id', ':rollout::bigint', ':jitter::integer')} AS wait) AS jitter
       ON CONFLICT DO NOTHING
       RETURNING device_id, stage
     ), replaced AS (
       UPDATE device_update_status AS o SET is_replaced = true FROM assigned
       WHERE o.device_id = assigned.device_id AND o.rollout_id = :rollout AND o.is_reclaimable AND NOT o.is_replaced
     )
     SELECT (SELECT count(*)::integer FROM assigned) AS assigned,
       (SELECT count(*)::integer FROM picked) AS found, (SELECT max(device_id COLLATE "C") FROM picked) AS until`;

/**
 * Assigns up to `limit` devices of the scope to a rollout: each gets a pending update. A constraint allows one open
 * update per device, so two concurrent calls cannot assign a device twice. A rollout that was stopped or resumed since
 * it was loaded assigns nothing.
 */
export async function assignDevices(
  sql: Sql,
  context: AssignmentContext,
  release: AssignableRelease,
  scope: Scope,
  limit: number,
  now: Date,
): Promise<Found & { readonly assigned: number }> {
  if (release.fromVersions.length === 0) return { ...NONE_FOUND, assigned: 0 };
  const { rollout } = context;
  const [row] = await select(
    sql,
    z.strictObject({ ...found.shape, assigned: z.int() }),
    assignStatement(SCOPES[scope.kind]),
    {
      ...assignmentValues(context, release, scope),
      generation: rollout.generation,
      release: release.releaseId,
      steppingStone: release.isSteppingStone,
      days: rollout.give_up_days,
      jitter: rollout.jitter_minutes,
      limit,
      now,
    },
  );
  return row ?? { ...NONE_FOUND, assigned: 0 };
}

/**
 * Starts from the devices of the scope and looks up their updates, because most of the fleet may be assigned to other
 * rollouts.
 */
const takeOverStatement = ({ from, where }: ScopeSql) => `WITH held AS MATERIALIZED (
       SELECT o.id, d.device_id COLLATE "C" AS device_id FROM ${from}
       CROSS JOIN LATERAL (SELECT * FROM device_update_status AS u WHERE u.device_id = d.device_id OFFSET 0) AS o
       JOIN rollout_configurations AS l ON l.id = o.rollout_id AND (l.priority, l.id) < (:priority::integer, :rollout::bigint)
       WHERE o.status = 'pending' AND o.attempt = 0 AND o.rollout_id <> :rollout AND ${where} AND ${ASSIGNABLE}
       ORDER BY d.device_id COLLATE "C" LIMIT :limit
     ), locked AS (
       SELECT o.id FROM held CROSS JOIN LATERAL (
         SELECT u.id, u.status, u.completed_at, u.attempt FROM device_update_status AS u
         WHERE u.id = held.id OFFSET 0 FOR UPDATE SKIP LOCKED) AS o
       WHERE o.status = 'pending' AND o.completed_at IS NULL AND o.attempt = 0
     ), canceled AS (
       UPDATE device_update_status AS u SET
         status = 'canceled', is_reclaimable = true, completed_at = :now::timestamptz, deadline_at = NULL,
         error_message = 'rollout "' || :name || '" took over'
       FROM locked WHERE u.id = locked.id
       RETURNING u.id
     )
     SELECT (SELECT count(*)::integer FROM held) AS found, (SELECT max(device_id) FROM held) AS until,
       (SELECT count(*)::integer FROM canceled) AS taken`;

/**
 * Cancels pending updates of lower-priority rollouts that were never sent, for devices of the scope that are on the
 * given versions and that this rollout may assign or has on its target. If this rollout is stopped before it sends, the
 * other rollout may assign the devices again.
 * @returns how many updates were found and how many were canceled
 */
export async function takeOverPending(
  sql: Sql,
  context: AssignmentContext,
  release: EligibleRelease,
  scope: Scope,
  limit: number,
  now: Date,
): Promise<Found & { readonly taken: number }> {
  if (release.fromVersions.length === 0) return { ...NONE_FOUND, taken: 0 };
  const values = { ...assignmentValues(context, release, scope), name: context.rollout.name, limit, now };
  const [row] = await select(
    sql,
    z.strictObject({ ...found.shape, taken: z.int() }),
    takeOverStatement(SCOPES[scope.kind]),
    values,
  );
  return row ?? { ...NONE_FOUND, taken: 0 };
}

/**
 * True if a device is left that this rollout may still have to assign after its scan is complete: one with an open
 * update of another rollout, one that is held, or one that has changed since it was examined.
 */
export async function hasAssignable(
  sql: Sql,
  context: AssignmentContext,
  release: AssignableRelease,
  since: string,
): Promise<boolean> {
  if (release.fromVersions.length === 0) return false;
  const [row] = await select(
    sql,
    z.strictObject({ found: z.boolean() }),
    `SELECT EXISTS (
       SELECT FROM device_update_status AS o JOIN devices AS d ON d.device_id = o.device_id
       WHERE o.completed_at IS NULL AND o.rollout_id <> :rollout AND ${ASSIGNABLE}
     ) OR EXISTS (SELECT FROM ${CHANGED} WHERE ${ASSIGNABLE})
       OR EXISTS (SELECT FROM devices AS d WHERE d.device_id IN (${HELD_BY_NAME}) AND ${ASSIGNABLE}) AS found`,
    assignmentValues(context, release, { kind: 'changes', since }),
  );
  return row?.found ?? false;
}
