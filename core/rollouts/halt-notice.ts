import * as z from 'zod';
import { type Sql, select } from '../db/index.ts';
import { describeHalt, FAILED_LIST, type HaltNotice } from '../policy/index.ts';
import type { RolloutEvent } from './rollout-events.ts';

/** Groups of failures, and devices of each, that a message names. */
const GROUPS = 3;
const EXAMPLES = 3;

const failureGroup = z.strictObject({ reason: z.string(), devices: z.int(), examples: z.array(z.string()) });

/** The message about a halt, with the failures that the gates of its generation have read. */
export async function loadHaltNotice(sql: Sql, event: RolloutEvent): Promise<HaltNotice> {
  const failures = await select(
    sql,
    failureGroup,
    `SELECT CASE WHEN u.late_rollback_at IS NULL THEN coalesce(u.error_message, 'no reason given')
         ELSE 'left the version after proving it' END AS reason,
       count(*)::integer AS devices, to_jsonb((array_agg(u.device_id ORDER BY u.id))[1:${EXAMPLES}]) AS examples
     FROM device_update_status AS u
     JOIN rollout_runtime AS p ON p.rollout_id = u.rollout_id AND p.generation = u.generation
     WHERE u.rollout_id = :rollout AND u.late_success_at IS NULL AND NOT u.is_replaced
       AND (u.status IN ${FAILED_LIST} OR u.late_rollback_at IS NOT NULL)
     GROUP BY 1 ORDER BY devices DESC, reason LIMIT ${GROUPS}`,
    { rollout: event.rollout_id },
  );
  const { numbers } = event.detail;
  return describeHalt({
    rolloutId: event.rollout_id,
    name: event.rollout_name,
    firmwareVersion: event.firmware_version,
    deviceModel: event.device_model,
    reason: event.reason ?? 'no reason given',
    at: event.at,
    numbers: {
      assigned: numbers?.assigned ?? 0,
      succeeded: numbers?.succeeded ?? 0,
      failed: numbers?.failed ?? 0,
      silent: numbers?.silent ?? 0,
    },
    failures,
  });
}
