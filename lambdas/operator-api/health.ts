import type { ReleaseHealth } from '../../api/releases.ts';
import type { RolloutHealth } from '../../api/rollouts.ts';
import type { Sql } from '../../core/db/index.ts';
import { compareRestarts, healthState } from '../../core/policy/index.ts';
import {
  findVersionBefore,
  listVersionsInUse,
  loadHealthEvidence,
  loadRolloutRuntime,
  readVersionHealth,
} from '../../core/rollouts/index.ts';
import type { RolloutId } from '../../core/util/index.ts';
import type { Services } from './context.ts';
import { notFound } from './problems.ts';

/** The health of a release in all of the fleet, beside that of the version before. */
export async function readReleaseHealth(sql: Sql, model: string, version: string): Promise<ReleaseHealth> {
  const before = await findVersionBefore(sql, model, version);
  return {
    version: await readVersionHealth(sql, model, version),
    before: before === undefined ? null : await readVersionHealth(sql, model, before),
  };
}

/** The same of the release of a rollout, and what its gate reads. */
export async function readRolloutHealth({ sql, now }: Services, id: RolloutId): Promise<RolloutHealth> {
  const rollout = await loadRolloutRuntime(sql, id);
  if (rollout === undefined) throw notFound(`rollout ${id}`);
  const { device_model: model, firmware_version: version, max_restart_ratio: ratio } = rollout;
  const { observed } = await loadHealthEvidence(sql, rollout, await listVersionsInUse(sql, model), now());
  const compared = compareRestarts(observed, ratio ?? 1);
  return {
    ...(await readReleaseHealth(sql, model, version)),
    comparison: {
      devices: compared.devices,
      device_hours: compared.hours,
      device_hours_before: compared.hoursBefore,
      restarts: compared.restarts,
      restarts_per_device_hour: compared.rate,
      restarts_per_device_hour_before: compared.rateBefore,
      state: healthState(observed, ratio),
    },
  };
}
