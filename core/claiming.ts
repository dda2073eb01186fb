import type { Sql } from './database.ts';
import type { ActiveRollout } from './rollouts.ts';
import type { Target } from './target-filter.ts';
import { IS_KEPT, MEMBER_CONDITION, targetValues, type Winner } from './targeting.ts';

/** A rollout that claims, and those that go before it. */
export interface Claimer {
  readonly rollout: ActiveRollout;
  readonly target: Target;
  readonly winners: readonly Winner[];
}

/** What is claimed for: the rollout's own release, or one that leads to it. */
export interface ClaimedRelease {
  readonly releaseId: number;
  readonly version: string;
  readonly isSteppingStone: boolean;
  /** The current versions from which devices go to it. */
  readonly fromVersions: readonly string[];
}

/**
 * Whether an update `u` of a rollout `w` bars its device from the rollout of the parameters: `w` wins and runs, or is
 * newer and has brought the device where it wanted it.
 */
export const BARS = `u.status <> 'canceled' AND (w.weight, w.id) > (:weight::integer, :rollout::bigint)
           AND (w.is_active AND w.completed_at IS NULL AND w.aborted_at IS NULL OR w.id > :rollout::bigint AND u.status = 'success')`;

/**
 * Devices `d` that the rollout may claim, over the parameters of {@link claimValues}: members by filter and hash, on a
 * version that may be updated, that this rollout has not claimed before and no rollout that wins over it has served or
 * keeps.
 */
const CLAIMABLE = `${MEMBER_CONDITION}
         AND d.current_firmware_version IN (SELECT jsonb_array_elements_text(:eligible::jsonb))
         AND md5(:rollout::bigint || ':' || d.device_id) <= :threshold
         AND NOT EXISTS (SELECT FROM device_update_status AS u WHERE u.rollout_id = :rollout AND u.device_id = d.device_id
           AND u.firmware_version = :version AND NOT u.is_reclaimable)
         AND NOT EXISTS (SELECT FROM device_update_status AS u JOIN rollout_configurations AS w ON w.id = u.rollout_id
           WHERE u.device_id = d.device_id AND ${BARS})
         AND NOT ${IS_KEPT}`;

const claimValues = (
  { rollout, target, winners }: Claimer,
  release: Pick<ClaimedRelease, 'version' | 'fromVersions'>,
) => ({
  rollout: rollout.id,
  weight: rollout.weight,
  threshold: rollout.stage_threshold,
  version: release.version,
  eligible: release.fromVersions,
  winners,
  ...targetValues(rollout.device_model, target),
});

/**
 * Claims devices for a rollout: each becomes owed a command. What an older or lighter rollout has claimed and not yet
 * sent is taken over. A device has one open update, which is a constraint, so that two claimers at once cannot claim a
 * device twice; a rollout that was halted or resumed since it was read claims nothing.
 * @returns how many were claimed
 */
export async function claimDevices(
  sql: Sql,
  claimer: Claimer,
  release: ClaimedRelease,
  limit: number,
  now: Date,
): Promise<number> {
  if (release.fromVersions.length === 0) return 0;
  const { rollout } = claimer;
  await takeOverClaims(sql, claimer, release, limit, now);
  const [row] = await sql.query<{ claimed: number }>(
    `WITH fence AS (
       SELECT stage FROM rollout_pace WHERE rollout_id = :rollout AND generation = :generation AND NOT halted FOR SHARE
     ), claimed AS (
       INSERT INTO device_update_status (device_id, rollout_id, release_id, firmware_version, is_stepping_stone, stage,
         previous_version, status, created_at, reported_at, deadline_at, enqueue_after, not_before)
       SELECT d.device_id, :rollout, :release, :version, :stone::boolean, fence.stage, d.current_firmware_version, 'pending',
         :now::timestamptz, :now::timestamptz, :now::timestamptz + make_interval(days => :days::integer),
         :now::timestamptz + jitter.wait, :now::timestamptz + jitter.wait
       FROM fence, devices AS d
       CROSS JOIN LATERAL (
         -- The first 24 bits of a hash of the device, as a share of the jitter: the same whenever it is claimed.
         SELECT ('x' || substr(md5(d.device_id || :rollout::bigint), 1, 6))::bit(24)::integer / 16777216.0
           * make_interval(mins => :jitter::integer) AS wait) AS jitter
       WHERE ${CLAIMABLE}
         AND NOT EXISTS (SELECT FROM device_update_status AS u
           WHERE u.device_id = d.device_id AND u.closed_at IS NULL AND u.rollout_id IS NOT NULL)
       ORDER BY d.device_id
       LIMIT :limit
       ON CONFLICT DO NOTHING
       RETURNING stage
     ), counted AS (
       SELECT stage, count(*)::integer AS claimed FROM claimed GROUP BY stage
     ), staged AS (
       UPDATE rollout_stages AS s SET claimed = s.claimed + counted.claimed
       FROM counted WHERE s.rollout_id = :rollout AND s.stage = counted.stage
     )
     SELECT coalesce(sum(claimed), 0)::integer AS claimed FROM counted`,
    {
      ...claimValues(claimer, release),
      generation: rollout.generation,
      release: release.releaseId,
      stone: release.isSteppingStone,
      days: rollout.claim_deadline_days,
      jitter: rollout.jitter_minutes,
      limit,
      now,
    },
  );
  return row?.claimed ?? 0;
}

/**
 * Cancels claims of rollouts that this one wins over, of devices on the given versions that it may claim, or that are
 * where it wants them, and that were sent nothing yet. Should it be stopped before it sends, the other may claim them again.
 */
export async function takeOverClaims(
  sql: Sql,
  claimer: Claimer,
  release: Pick<ClaimedRelease, 'version' | 'fromVersions'>,
  limit: number,
  now: Date,
): Promise<void> {
  if (release.fromVersions.length === 0) return;
  await sql.query(
    `WITH lost AS (
       SELECT o.id FROM device_update_status AS o
       JOIN rollout_configurations AS l ON l.id = o.rollout_id AND (l.weight, l.id) < (:weight::integer, :rollout::bigint)
       JOIN devices AS d ON d.device_id = o.device_id
       WHERE o.status = 'pending' AND o.closed_at IS NULL AND o.attempt = 0 AND o.rollout_id <> :rollout
         AND ${CLAIMABLE}
       ORDER BY o.device_id LIMIT :limit FOR UPDATE OF o SKIP LOCKED
     )
     UPDATE device_update_status AS u SET
       status = 'canceled', is_reclaimable = true, closed_at = :now::timestamptz, completed_at = :now::timestamptz, deadline_at = NULL,
       error_message = 'rollout "' || :name || '" took over'
     FROM lost WHERE u.id = lost.id`,
    { ...claimValues(claimer, release), name: claimer.rollout.name, limit, now },
  );
}

/** Whether a member is left that this rollout may still have to claim: not claimed yet, or held by another rollout. */
export async function hasClaimable(sql: Sql, claimer: Claimer, release: ClaimedRelease): Promise<boolean> {
  if (release.fromVersions.length === 0) return false;
  const [row] = await sql.query<{ found: boolean }>(
    `SELECT EXISTS (SELECT FROM devices AS d WHERE ${CLAIMABLE}) AS found`,
    claimValues(claimer, release),
  );
  return row?.found ?? false;
}
