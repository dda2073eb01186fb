import * as z from 'zod';
import { type Sql, select } from '../db/index.ts';
import type { ReleaseCounter } from '../protocol/index.ts';
import type { TrustRule } from '../release-policy/index.ts';

const counter = z.strictObject({ version: z.string(), secure_version: z.int() });

/**
 * The releases of a model with an anti-rollback counter. Only a rollout that may send an older release asks for them:
 * an upload with a lower counter than an earlier one is refused. Empty if the settings say that devices boot lower ones.
 */
export async function loadCounters(
  sql: Sql,
  rollout: { readonly device_model: string; readonly allow_downgrade: boolean; readonly include_unknown: boolean },
  trust: TrustRule,
): Promise<ReleaseCounter[]> {
  const { device_model: model, allow_downgrade: mayLower, include_unknown: mayBeOlder } = rollout;
  if (!(mayLower || mayBeOlder) || trust.bootsLowerCounter(model)) return [];
  return select(
    sql,
    counter,
    `SELECT version, (image #>> '{descriptor,secureVersion}')::bigint AS secure_version FROM firmware_releases
     WHERE device_model = :model AND image #>> '{descriptor,secureVersion}' <> '0'`,
    { model },
  );
}
