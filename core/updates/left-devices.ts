import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { runsRelease } from '../protocol/index.ts';
import { ID } from '../util/index.ts';

const leftDevices = z.strictObject({
  /** Null if the devices began the update by themselves. */
  rollout_id: ID.rollout.nullable(),
  rollout_name: z.string().nullable(),
  firmware_version: z.string(),
  devices: z.int(),
  /** The first of them. */
  examples: z.array(z.string()),
});

/** Devices of one rollout that need attention for the same reason. */
export type LeftDevices = RowOf<typeof leftDevices>;

const group = z.strictObject({
  ...leftDevices.shape,
  current: z.string(),
});
type Group = RowOf<typeof group>;

/** Device ids that a group names. */
const EXAMPLES = 3;
/** Groups that one statement returns. */
const GROUPS = 100;
const LATE_ROLLBACK_DAYS = 7;

/** Groups updates `u` for which the condition holds and which are the newest of their device. */
const groupNewest = (condition: string) => `SELECT u.rollout_id, r.name AS rollout_name, u.firmware_version,
       d.current_firmware_version AS current, count(*)::integer AS devices,
       to_jsonb((array_agg(u.device_id ORDER BY u.device_id))[1:${EXAMPLES}]) AS examples
     FROM device_update_status AS u JOIN devices AS d USING (device_id)
     LEFT JOIN rollout_configurations AS r ON r.id = u.rollout_id
     WHERE ${condition} AND NOT EXISTS (
       SELECT FROM device_update_status AS newer WHERE newer.device_id = u.device_id AND newer.id > u.id
         AND newer.status = 'success' AND newer.completed_at IS NOT NULL)
     GROUP BY u.rollout_id, r.name, u.firmware_version, d.current_firmware_version
     ORDER BY devices DESC, u.rollout_id DESC LIMIT ${GROUPS}`;

/** Devices that left a proven version in the last seven days, and that have neither returned to it nor proven another. */
export async function listLateRollbacks(sql: Sql, now: Date): Promise<LeftDevices[]> {
  const groups = await select(sql, group, groupNewest('u.late_rollback_at > :since::timestamptz'), {
    since: new Date(now.getTime() - LATE_ROLLBACK_DAYS * 86_400_000),
  });
  return merge(groups.filter(({ current, firmware_version }) => !runsRelease(current, firmware_version)));
}

/** Devices that run a version although they reported that the verification of its image failed. */
export async function listUnverified(sql: Sql): Promise<LeftDevices[]> {
  const groups = await select(sql, group, groupNewest('u.unverified_at IS NOT NULL'));
  return merge(groups.filter(({ current, firmware_version }) => runsRelease(current, firmware_version)));
}

/** One entry per rollout and version, whatever the devices run now. */
function merge(groups: readonly Group[]): LeftDevices[] {
  const merged = new Map<string, LeftDevices>();
  for (const { current: _, ...group } of groups) {
    const key = `${group.rollout_id} ${group.firmware_version}`;
    const known = merged.get(key);
    merged.set(key, {
      ...group,
      devices: group.devices + (known?.devices ?? 0),
      examples: [...(known?.examples ?? []), ...group.examples].slice(0, EXAMPLES),
    });
  }
  return [...merged.values()];
}
