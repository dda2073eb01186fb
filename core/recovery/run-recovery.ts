import * as z from 'zod';
import { type Sql, select } from '../db/index.ts';
import type { Recovered } from '../policy/index.ts';
import type { RolloutRuntime } from '../rollouts/index.ts';
import type { ReleaseId } from '../util/index.ts';
import { assignRecovered } from './recover-devices.ts';
import { badRollout } from './updated-devices.ts';

/**
 * Assigns the devices that a recovery has left out: those that were still booting the bad release when it began, and went
 * silent since.
 * @returns true if the recovery is over: none was left, and the rollout that it recovers has no open update
 */
export async function assignRest(
  sql: Sql,
  recovery: RolloutRuntime & { readonly release_id: ReleaseId },
  recovers: Recovered,
  badVersions: readonly string[],
  now: Date,
): Promise<boolean> {
  const [bad] = await select(
    sql,
    z.strictObject({ ...badRollout.shape, has_open: z.boolean() }),
    `SELECT r.id AS rollout_id, r.name, r.firmware_version, r.device_model,
       EXISTS (SELECT FROM device_update_status AS u WHERE u.rollout_id = r.id AND u.completed_at IS NULL) AS has_open
     FROM rollout_configurations AS r WHERE r.id = :rollout`,
    { rollout: recovers.rollout },
  );
  if (bad === undefined) return true;
  if (bad.has_open) return false;
  const { id, release_id: releaseId, firmware_version: version, give_up_days: giveUpDays } = recovery;
  const { previousVersions } = recovers;
  const part = { id, releaseId, version, giveUpDays, previousVersions, badVersions };
  return (await assignRecovered(sql, bad, part, now)) === 0;
}
