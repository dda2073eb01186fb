import * as z from 'zod';
import { type Sql, select } from '../db/index.ts';
import { HAS_NEW_CERTIFICATE } from '../devices/index.ts';
import { HAS_DUE_HOLDS } from '../holds/index.ts';
import { HAS_UNPUBLISHED_EVENTS, MAY_RUN } from '../rollouts/index.ts';

/**
 * True if the orchestrator has anything to do. One statement that reads only indexes, so that an idle fleet costs one
 * statement per tick. Whatever is added to a tick must be checked here too.
 */
export async function hasWork(sql: Sql, now: Date, { revokesCertificates = true } = {}): Promise<boolean> {
  const [row] = await select(
    sql,
    z.strictObject({ has_work: z.boolean() }),
    `SELECT EXISTS (
         SELECT FROM rollout_configurations AS r LEFT JOIN rollout_runtime AS p ON p.rollout_id = r.id
         WHERE r.completed_at IS NULL AND (${MAY_RUN} OR NOT coalesce(p.is_stopped, true)))
       OR EXISTS (SELECT FROM device_update_status WHERE completed_at IS NULL AND deadline_at <= :now::timestamptz)
       OR EXISTS (SELECT FROM device_update_status
         WHERE completed_at IS NULL AND rollout_id IS NOT NULL AND status IN ('pending', 'sent'))
       OR EXISTS (SELECT FROM device_update_status
         WHERE completed_at IS NOT NULL AND NOT is_counted AND rollout_id IS NOT NULL)
       OR :revokesCertificates::boolean AND EXISTS (SELECT FROM devices WHERE ${HAS_NEW_CERTIFICATE})
       OR ${HAS_UNPUBLISHED_EVENTS}
       OR ${HAS_DUE_HOLDS}
       OR NOT EXISTS (SELECT FROM leases WHERE name = 'housekeeping' AND expires_at > :now::timestamptz) AS has_work`,
    { now, revokesCertificates },
  );
  return row?.has_work ?? true;
}
