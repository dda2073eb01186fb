import type { Sql } from '../db/index.ts';
import { IN_FORCE } from '../holds/index.ts';
import type { AssignableRelease, RolloutEventName } from '../policy/index.ts';
import { cutoffValues, targetValues } from '../targeting/index.ts';
import type { AssignmentContext } from './assign-devices.ts';
import { BY_RELEASE_MAP, BY_STORED_CUTOFF, passesAll } from './assignment-rules.ts';

/** True if the rollout would assign the held device `d`, or has a pending update of it. */
export const WAITS_FOR_HOLD = `(EXISTS (SELECT FROM device_update_status AS u
           WHERE u.device_id = d.device_id AND u.rollout_id = :rollout::bigint AND u.status = 'pending' AND u.completed_at IS NULL)
         OR ${passesAll({ ...BY_RELEASE_MAP, ...BY_STORED_CUTOFF }, 'held', 'busy', 'stage')})`;

/** The parameters of {@link WAITS_FOR_HOLD}. */
export const holdValues = (
  { rollout, target, higherPriority, knownIssues }: AssignmentContext,
  releases: readonly Pick<AssignableRelease, 'version' | 'fromVersions'>[],
) => ({
  rollout: rollout.id,
  priority: rollout.priority,
  ...cutoffValues(rollout),
  releases: Object.fromEntries(
    releases.flatMap(({ version, fromVersions }) => fromVersions.map((from) => [from, version])),
  ),
  higherPriority,
  knownIssues,
  ...targetValues(rollout.device_model, target),
});

/**
 * Records in the history of a rollout each hold in force of a group or the service that holds up a device of it, once.
 * Reads the devices of the held groups up to the first that waits, not the fleet.
 */
export async function recordHolds(
  sql: Sql,
  context: AssignmentContext,
  releases: readonly AssignableRelease[],
  now: Date,
): Promise<void> {
  await sql.query(
    `INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
     SELECT :rollout::bigint, :event::text, :now::timestamptz, jsonb_strip_nulls(jsonb_build_object('hold', h.id, 'scope', h.scope,
         'group', h.group_name, 'endsAt', h.ends_at, 'reason', h.reason, 'by', coalesce(h.created_by, 'SQL'))),
       md5(:rollout::bigint || ' held ' || h.id)
     FROM holds AS h WHERE ${IN_FORCE} AND h.scope <> 'device'
       AND NOT EXISTS (SELECT FROM ota_events AS e WHERE e.rollout_id = :rollout::bigint AND e.device_id IS NULL
         AND e.event_type = :event::text AND (e.payload ->> 'hold')::bigint = h.id)
       AND (h.scope = 'service' OR EXISTS (SELECT FROM device_groups AS named JOIN devices AS d ON d.device_id = named.device_id
         WHERE named.group_name = h.group_name AND ${WAITS_FOR_HOLD}))
     ON CONFLICT DO NOTHING`,
    { ...holdValues(context, releases), event: 'rollout_held' satisfies RolloutEventName, now },
  );
}
