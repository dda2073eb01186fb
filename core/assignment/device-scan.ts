import { isDeepStrictEqual } from 'node:util';
import type { Sql } from '../db/index.ts';
import type { AssignableRelease, RegisteredRelease } from '../policy/index.ts';
import { IS_RUNNING, type RolloutRuntime } from '../rollouts/index.ts';
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
 * How far the scan of a rollout has come. A rollout scans its devices once, in the order of their ids, a few chunks per
 * tick. Devices that the scan has passed are examined again only when they change. A tick therefore costs as much as it
 * assigns and as has changed, however large the fleet is.
 */
export interface ScanState {
  /** Hash of every input that decides which devices may be assigned, apart from devices and their updates. */
  readonly fingerprint: string;
  /** Cursor: last device id scanned; null when the scan is complete. */
  readonly cursor: string | null;
  /** Changes made by this transaction or a later one have not been examined yet. */
  readonly changesSince: string;
}

/** What a rollout assigns. */
export interface Assignable {
  /** The releases, each with the versions that are updated to it. */
  readonly releases: readonly AssignableRelease[];
  /** The target version, with the names of it that devices report. */
  readonly onTarget: Pick<AssignableRelease, 'version' | 'fromVersions'>;
}

/** Devices assigned to one rollout per tick; the next tick continues with the rest. */
const ASSIGNMENTS_PER_TICK = 5_000;
/** Devices per statement: it takes seconds where each has a long history, and the Data API allows 45 seconds. */
const DEVICES_PER_CHUNK = 50_000;
/** A scan that finds no device to assign passes a million devices per tick. */
const CHUNKS_PER_TICK = 20;
const DAY_MS = 86_400_000;
const SCAN_START = '';

/**
 * The current scan of a rollout, or a new one where its fingerprint has changed: whether a device may be assigned also
 * depends on the rollout's row, its stage, the higher-priority rollouts, the holds and the known issues. The date is part of the fingerprint, so that
 * one scan a day corrects changes that `device_changes` did not record.
 */
export function scanStateOf(
  rollout: RolloutRuntime,
  steppingStones: readonly RegisteredRelease[],
  now: Date,
): ScanState {
  const { generation, stage, stage_extended_at, stage_hash_cutoff, stage_later_cutoff } = rollout;
  const { device_model, target_type, target_filter } = rollout;
  const { priority, higher_priority_digest, holds_digest, known_issues_digest } = rollout;
  const { release_id, firmware_version, min_version, allow_downgrade, include_unknown } = rollout;
  const fingerprint = sha256(
    JSON.stringify([
      [generation, stage, stage_extended_at, stage_hash_cutoff, stage_later_cutoff],
      [device_model, target_type, target_filter, priority, higher_priority_digest, holds_digest],
      known_issues_digest,
      [release_id, firmware_version, min_version, allow_downgrade, include_unknown, steppingStones],
      Math.floor(now.getTime() / DAY_MS),
    ]),
  );
  const { scan_fingerprint, scan_cursor, changes_from_xid, horizon } = rollout;
  // A transaction id beyond the horizon was written by another server, of which this database is a copy.
  const isOwnXid = changes_from_xid !== null && BigInt(changes_from_xid) <= BigInt(horizon);
  if (scan_fingerprint === fingerprint && isOwnXid)
    return { fingerprint, cursor: scan_cursor, changesSince: changes_from_xid };
  return { fingerprint, cursor: SCAN_START, changesSince: horizon };
}

/**
 * Assigns devices that have changed, then continues the scan chunk by chunk. The cursor is stored after each chunk, so
 * that a tick that is cut short keeps its progress.
 * @returns how many devices were assigned, and the new state of the scan
 */
export async function assignByScan(
  sql: Sql,
  context: AssignmentContext,
  what: Assignable,
  initial: ScanState,
  now: Date,
  { devicesPerChunk = DEVICES_PER_CHUNK, chunks = CHUNKS_PER_TICK, limit = ASSIGNMENTS_PER_TICK } = {},
): Promise<{ assigned: number; scan: ScanState }> {
  const { rollout } = context;
  const isNew = rollout.scan_fingerprint !== initial.fingerprint || rollout.changes_from_xid !== initial.changesSince;
  let scan = initial;
  let assigned = 0;
  let stored: StoredScan = rollout;
  const advanceTo = async (next: ScanState) => {
    scan = next;
    stored = await storeScan(sql, rollout, stored, next);
  };
  if (rollout.has_changes && !isNew) {
    const changes = await assignWithin(sql, context, what, { kind: 'changes', since: scan.changesSince }, limit, now);
    // If more devices have changed than one tick can assign, only a new scan reaches all of them.
    const cursor = changes.isDone ? scan.cursor : SCAN_START;
    assigned += changes.assigned;
    await advanceTo({ ...scan, cursor, changesSince: changes.wasLocked ? scan.changesSince : rollout.horizon });
  }
  for (let n = 0; n < chunks && scan.cursor !== null && assigned < limit; n++) {
    const until = await endOfChunk(sql, rollout.device_model, scan.cursor, devicesPerChunk);
    const scope: Scope = { kind: 'chunk', after: scan.cursor, until };
    const chunk = await assignWithin(sql, context, what, scope, limit - assigned, now);
    assigned += chunk.assigned;
    if (chunk.wasLocked) break;
    await advanceTo({ ...scan, cursor: chunk.until });
  }
  await advanceTo(scan);
  return { assigned, scan };
}

/**
 * Assigns the first `limit` devices of a scope, in the order of their ids. Devices may appear or vanish between its
 * statements, so the scope counts as examined only up to the smallest id at which one of them reached its limit.
 * @returns `until`: last device id examined; null if the whole scope was. `isDone`: false if more devices had changed
 * than the limit. `wasLocked`: true if another transaction held an update that was to be taken over
 */
async function assignWithin(
  sql: Sql,
  context: AssignmentContext,
  { releases, onTarget }: Assignable,
  scope: Scope,
  limit: number,
  now: Date,
): Promise<{ assigned: number; until: string | null; isDone: boolean; wasLocked: boolean }> {
  let until = scope.kind === 'chunk' ? scope.until : null;
  let isDone = true;
  const within = (): Scope => (scope.kind === 'chunk' ? { ...scope, until } : scope);
  const endAtLimit = ({ found, until: last }: Found) => {
    if (found < limit || last === null) return;
    if (scope.kind === 'changes') isDone = false;
    else if (until === null || isBefore(last, until)) until = last;
  };
  const needed: AssignableRelease[] = [];
  for (const release of releases) {
    const found = await findAssignable(sql, context, release, scope, limit);
    if (found.found > 0) needed.push(release);
    endAtLimit(found);
  }
  let wasLocked = false;
  for (const release of [onTarget, ...needed]) {
    const takenOver = await takeOverPending(sql, context, release, within(), limit, now);
    if (takenOver.taken < takenOver.found) wasLocked = true;
    endAtLimit(takenOver);
  }
  let assigned = 0;
  for (const release of needed) {
    const assignment = await assignDevices(sql, context, release, within(), limit, now);
    assigned += assignment.assigned;
    endAtLimit(assignment);
  }
  return { assigned, until, isDone, wasLocked };
}

/** Compares ids by their bytes, which is the order of a scan. */
const isBefore = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0;

type StoredScan = Pick<RolloutRuntime, 'scan_fingerprint' | 'scan_cursor' | 'changes_from_xid'>;

/**
 * Stores the state of a scan, unless another tick has stored one meanwhile or a resume has restarted the scan.
 * @returns the stored columns, if no other tick was faster
 */
async function storeScan(sql: Sql, rollout: RolloutRuntime, stored: StoredScan, scan: ScanState): Promise<StoredScan> {
  const { scan_fingerprint, scan_cursor, changes_from_xid } = stored;
  const next = {
    scan_fingerprint: scan.fingerprint,
    scan_cursor: scan.cursor,
    changes_from_xid: scan.changesSince,
  };
  if (isDeepStrictEqual({ scan_fingerprint, scan_cursor, changes_from_xid }, next)) return next;
  await sql.query(
    `UPDATE rollout_runtime SET scan_fingerprint = :fingerprint, scan_cursor = :cursor,
       changes_from_xid = :changesSince::xid8
     WHERE rollout_id = :rollout AND generation = :generation AND scan_fingerprint IS NOT DISTINCT FROM :old_fingerprint
       AND scan_cursor IS NOT DISTINCT FROM :old_cursor AND changes_from_xid::text IS NOT DISTINCT FROM :old_changes`,
    {
      rollout: rollout.id,
      generation: rollout.generation,
      ...scan,
      old_fingerprint: scan_fingerprint,
      old_cursor: scan_cursor,
      old_changes: changes_from_xid,
    },
  );
  return next;
}

/**
 * Deletes changes that every running rollout has examined. Safe only while the caller holds the tick lease: the changes
 * that a tick has loaded must stay until it has stored its scan.
 */
export async function forgetChanges(sql: Sql): Promise<void> {
  await sql.query(
    `DELETE FROM device_changes WHERE changed_in < coalesce(
       (SELECT min(p.changes_from_xid::text::numeric)::text::xid8 FROM rollout_runtime AS p
        JOIN rollout_configurations AS r ON r.id = p.rollout_id
        WHERE ${IS_RUNNING}),
       pg_snapshot_xmin(pg_current_snapshot()))`,
  );
}
