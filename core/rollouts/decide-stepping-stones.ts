import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { ORCHESTRATOR } from '../policy/index.ts';
import type { TrustRule } from '../release-policy/index.ts';
import { proposeFor } from '../releases/index.ts';
import { ID, type RolloutId } from '../util/index.ts';

const undecidedRollout = z.strictObject({
  id: ID.rollout,
  firmware_version: z.string(),
  device_model: z.string(),
  newest_release_id: ID.release,
  release_id: ID.release,
  min_version: z.string().nullable(),
});
type Undecided = RowOf<typeof undecidedRollout>;

/** SQL may also write a JSON null. */
const UNDECIDED = `coalesce(r.stepping_stones, 'null') = 'null'`;

const SELECT_UNDECIDED = `SELECT r.id, r.firmware_version, r.device_model, r.newest_release_id, f.id AS release_id, f.min_version
       FROM rollout_configurations AS r
       JOIN firmware_releases AS f ON f.device_model = r.device_model AND f.version = r.firmware_version
       WHERE ${UNDECIDED}`;

/** Rollouts that one statement reads; the rest of a tick waits for all of them. */
const ROLLOUTS_PER_PAGE = 500;

/**
 * Decides the stepping stones of active rollouts that name none: rows that SQL wrote, rollouts whose version was
 * changed, and drafts that waited for their release. Only releases that were registered before the row can be among
 * them. From then on no upload changes what the rollout sends.
 */
export async function decideSteppingStones(sql: Sql, trust: TrustRule, now: Date): Promise<void> {
  for (let after = 0; ; ) {
    const undecided = await select(
      sql,
      undecidedRollout,
      `${SELECT_UNDECIDED} AND r.is_active AND r.completed_at IS NULL AND r.paused_at IS NULL AND r.id > :after
       ORDER BY r.id LIMIT ${ROLLOUTS_PER_PAGE}`,
      { after },
    );
    for (const rollout of undecided) await decide(sql, rollout, trust, now);
    if (undecided.length < ROLLOUTS_PER_PAGE) return;
    after = undecided.at(-1)?.id ?? after;
  }
}

/** Decides the stepping stones of one rollout, if its release is registered and they are not decided. */
export async function decideSteppingStonesOf(
  sql: Sql,
  rolloutId: RolloutId,
  trust: TrustRule,
  now: Date,
): Promise<void> {
  const undecided = await select(sql, undecidedRollout, `${SELECT_UNDECIDED} AND r.id = :rollout`, {
    rollout: rolloutId,
  });
  for (const rollout of undecided) await decide(sql, rollout, trust, now);
}

async function decide(sql: Sql, rollout: Undecided, trust: TrustRule, now: Date): Promise<void> {
  const { id, firmware_version: version, min_version: minimum, release_id, newest_release_id } = rollout;
  const choice = { ...rollout, stepping_stones: null };
  const steppingStones = await proposeFor(sql, choice, { id: release_id, version }, trust, now);
  const versions = steppingStones.map((release) => release.version);
  const way =
    versions.length === 0 ? 'none is registered that leads there' : `older devices go by way of ${versions.join(', ')}`;
  await sql.query(
    `WITH decided AS (
       UPDATE rollout_configurations AS r SET stepping_stones = :versions::jsonb
       WHERE r.id = :rollout AND ${UNDECIDED} AND firmware_version = :version
         AND newest_release_id = :newest_release_id
       RETURNING id
     )
     INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
     SELECT id, 'rollout_stepping_stones_decided', :now::timestamptz,
       jsonb_build_object('reason', :reason::text, 'by', :by::text, 'steppingStones', :versions::jsonb),
       md5(id || ' stepping stones ' || :version)
     FROM decided WHERE :minimum::text IS NOT NULL
     ON CONFLICT DO NOTHING`,
    {
      rollout: id,
      version,
      versions,
      minimum,
      newest_release_id,
      reason: `${version} needs at least ${minimum}; ${way}`,
      by: ORCHESTRATOR,
      now,
    },
  );
}
