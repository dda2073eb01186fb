import { isDeepStrictEqual } from 'node:util';
import type { Sql } from '../db/index.ts';
import type { AssignableRelease, RegisteredRelease } from '../policy/index.ts';
import type { RolloutRuntime } from '../rollouts/index.ts';
import { sha256 } from '../util/index.ts';
import {
  type AssignmentContext,
  assignDevices,
  endOfChunk,
  type Found,
  findAssignable,
  type Scope,
  takeOverPending,
} from './assign-devices.ts';

/**
 * How far a rollout has come with its devices. It walks through them once, in the order of their ids, a stretch a tick;
 * behind it and afterwards it looks at those alone that have changed. So a tick costs what it claims and what has changed,
 * however large the fleet is.
 */
export interface Walk {
  readonly basis: string;
  /** The device that it has come past; null: it is over. */
  readonly after: string | null;
  /** Changes since this transaction have yet to be looked at. */
  readonly since: string;
}

/** What is claimed: the releases for the versions that go to them, and the versions that are where the rollout wants them. */
export interface Claimed {
  readonly releases: readonly AssignableRelease[];
  readonly onTarget: Pick<AssignableRelease, 'version' | 'fromVersions'>;
}

/** Devices claimed for a rollout in one tick; a larger one goes on at the next. */
const CLAIMS_A_TICK = 5_000;
/** Devices that one statement looks at: seconds, where each has a long history, and the Data API gives it 45. */
const DEVICES_A_STRETCH = 50_000;
/** A walk that finds nobody to claim comes past a million devices in one tick. */
const STRETCHES_A_TICK = 20;
const DAY_MS = 86_400_000;
const BEFORE_ALL = '';

/**
 * The walk that a rollout is on, or a new one: whether a device may be claimed depends on the rollout's row, its stage and
 * the rollouts that win over it too. A walk a day mends what was changed behind the back of `device_changes`.
 */
export function scanStateOf(rollout: RolloutRuntime, registered: readonly RegisteredRelease[], now: Date): Walk {
  const { generation, stage_hash_cutoff, device_model, target_type, target_filter, priority, rivals } = rollout;
  const { release_id, firmware_version, min_version, allow_downgrade, include_unknown } = rollout;
  const basis = sha256(
    JSON.stringify([
      [generation, stage_hash_cutoff, device_model, target_type, target_filter, priority, rivals],
      [release_id, firmware_version, min_version, allow_downgrade, include_unknown, registered],
      Math.floor(now.getTime() / DAY_MS),
    ]),
  );
  const { scan_fingerprint, scan_cursor, changes_from_xid, horizon } = rollout;
  // A number beyond the horizon comes from another server, of which this database is a copy.
  const isKnown = changes_from_xid !== null && BigInt(changes_from_xid) <= BigInt(horizon);
  if (scan_fingerprint === basis && isKnown) return { basis, after: scan_cursor, since: changes_from_xid };
  return { basis, after: BEFORE_ALL, since: horizon };
}

/**
 * Claims what has changed, then goes on with the walk: stretch by stretch, each noted at once, so that a tick that is cut
 * short has come on. @returns how many devices were claimed, and the walk as it is now
 */
export async function assignByScan(
  sql: Sql,
  claimer: AssignmentContext,
  what: Claimed,
  begun: Walk,
  now: Date,
  { devicesAStretch = DEVICES_A_STRETCH, stretches = STRETCHES_A_TICK, claims = CLAIMS_A_TICK } = {},
): Promise<{ assigned: number; walk: Walk }> {
  const { rollout } = claimer;
  const isNew = rollout.scan_fingerprint !== begun.basis || rollout.changes_from_xid !== begun.since;
  let walk = begun;
  let claimed = 0;
  let noted: NotedWalk = rollout;
  const comeTo = async (next: Walk) => {
    walk = next;
    noted = await noteWalk(sql, rollout, noted, next);
  };
  if (rollout.has_changes && !isNew) {
    const changes = await claimWithin(sql, claimer, what, { kind: 'changes', since: walk.since }, claims, now);
    // Where more has changed than one tick can claim, only a walk comes past all of it.
    const after = changes.isDone ? walk.after : BEFORE_ALL;
    claimed += changes.claimed;
    await comeTo({ ...walk, after, since: changes.wasLocked ? walk.since : rollout.horizon });
  }
  for (let n = 0; n < stretches && walk.after !== null && claimed < claims; n++) {
    const until = await endOfChunk(sql, rollout.device_model, walk.after, devicesAStretch);
    const scope: Scope = { kind: 'stretch', after: walk.after, until };
    const stretch = await claimWithin(sql, claimer, what, scope, claims - claimed, now);
    claimed += stretch.claimed;
    if (stretch.wasLocked) break;
    await comeTo({ ...walk, after: stretch.until });
  }
  await comeTo(walk);
  return { assigned, walk };
}

/**
 * Claims the first `limit` devices of a scope, in the order of their ids. Between its statements devices come and go: what
 * counts as looked at ends at the last that any of them reached its limit with.
 * @returns `until`: up to where devices were looked at; null: all of the scope. `isDone`: false for changes that were more
 * than the limit. `wasLocked`: something was to be taken over that another transaction held
 */
async function claimWithin(
  sql: Sql,
  claimer: AssignmentContext,
  { releases, onTarget }: Claimed,
  scope: Scope,
  limit: number,
  now: Date,
): Promise<{ claimed: number; until: string | null; isDone: boolean; wasLocked: boolean }> {
  let until = scope.kind === 'stretch' ? scope.until : null;
  let isDone = true;
  const within = (): Scope => (scope.kind === 'stretch' ? { ...scope, until } : scope);
  const note = ({ found, until: last }: Found) => {
    if (found < limit || last === null) return;
    if (scope.kind === 'changes') isDone = false;
    else if (until === null || isBefore(last, until)) until = last;
  };
  const wanted: AssignableRelease[] = [];
  for (const release of releases) {
    const look = await findAssignable(sql, claimer, release, scope, limit);
    if (look.found > 0) wanted.push(release);
    note(look);
  }
  let wasLocked = false;
  for (const release of [onTarget, ...wanted]) {
    const held = await takeOverPending(sql, claimer, release, within(), limit, now);
    if (held.taken < held.found) wasLocked = true;
    note(held);
  }
  let claimed = 0;
  for (const release of wanted) {
    const claims = await assignDevices(sql, claimer, release, within(), limit, now);
    claimed += claims.claimed;
    note(claims);
  }
  return { claimed, until, isDone, wasLocked };
}

/** In the order of their bytes, as walks go. */
const isBefore = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0;

type NotedWalk = Pick<RolloutRuntime, 'scan_fingerprint' | 'scan_cursor' | 'changes_from_xid'>;

/**
 * Stored unless another tick was faster, or the rollout was resumed meanwhile and has to begin anew.
 * @returns what is stored if nobody was faster
 */
async function noteWalk(sql: Sql, rollout: RolloutRuntime, noted: NotedWalk, walk: Walk): Promise<NotedWalk> {
  const { scan_fingerprint, scan_cursor, changes_from_xid } = noted;
  const next = { scan_fingerprint: walk.basis, scan_cursor: walk.after, changes_from_xid: walk.since };
  if (isDeepStrictEqual({ scan_fingerprint, scan_cursor, changes_from_xid }, next)) return next;
  await sql.query(
    `UPDATE rollout_runtime SET scan_fingerprint = :basis, scan_cursor = :after, changes_from_xid = :since::xid8
     WHERE rollout_id = :rollout AND generation = :generation AND scan_fingerprint IS NOT DISTINCT FROM :old_basis
       AND scan_cursor IS NOT DISTINCT FROM :old_after AND changes_from_xid::text IS NOT DISTINCT FROM :old_since`,
    {
      rollout: rollout.id,
      generation: rollout.generation,
      ...walk,
      old_basis: scan_fingerprint,
      old_after: scan_cursor,
      old_since: changes_from_xid,
    },
  );
  return next;
}

/** Forgets changes that every running rollout has looked at. For the one tick that is at work: what a walk has begun with stays. */
export async function forgetChanges(sql: Sql): Promise<void> {
  await sql.query(
    `DELETE FROM device_changes WHERE changed_in < coalesce(
       (SELECT min(p.changes_from_xid::text::numeric)::text::xid8 FROM rollout_runtime AS p
        JOIN rollout_configurations AS r ON r.id = p.rollout_id
        WHERE r.is_active AND r.paused_at IS NULL AND r.completed_at IS NULL AND NOT p.is_stopped),
       pg_snapshot_xmin(pg_current_snapshot()))`,
  );
}
