import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import type { HealthEvidence } from '../policy/index.ts';
import { runsRelease } from '../protocol/index.ts';
import type { RolloutRuntime } from './rollout-runtime.ts';

/** Devices that one statement reads at most: those that have run the release longest. */
const SAMPLE_DEVICES = 1_000;
/** As for the control group; see loadControlGroup. */
const SILENT_REPORTS = 5;

/** True if a device of the rollout has booted its release: only then is there health to read. */
export const hasBooted = ({ started_updates, firmware_version }: RolloutRuntime): boolean =>
  started_updates.some(
    ({ version, state }) => version === firmware_version && (state === 'success' || state === 'on_probation'),
  );

const evidenceRow = z.strictObject({
  /** Restarts and seconds on the release; restarts and hours before it. */
  observed: z.array(z.tuple([z.number(), z.number(), z.number(), z.number()])),
  devices: z.int(),
  silent: z.int(),
});

/** The devices of a rollout that run its release, since it began or was resumed: their restarts, and who went silent. */
export async function loadHealthEvidence(
  sql: Sql,
  rollout: RolloutRuntime,
  versionsInUse: readonly string[],
  now: Date,
): Promise<HealthEvidence> {
  const version = rollout.firmware_version;
  const [row] = await select(
    sql,
    evidenceRow,
    `SELECT coalesce(jsonb_agg(jsonb_build_array(s.restarts, s.observed_seconds, s.restarts_before, s.hours_before)), '[]')
         AS observed,
       (count(*) FILTER (WHERE s.was_heard))::integer AS devices,
       (count(*) FILTER (WHERE s.was_heard AND s.is_silent))::integer AS silent
     FROM (
       SELECT counted_restarts(d.restarts, d.uptime_seconds) AS restarts, d.observed_seconds, coalesce(u.observed_hours, 0) AS hours_before,
         coalesce(u.restarts_per_hour * greatest(u.observed_hours, 1), 0) AS restarts_before,
         u.completed_at IS NOT NULL AND d.last_seen >= :since::timestamptz AS was_heard,
         d.last_seen < :now::timestamptz
           - make_interval(secs => greatest(300,
             ${SILENT_REPORTS} * greatest(d.report_interval_seconds, u.report_interval_seconds, 60))) AS is_silent
       FROM (
         SELECT device_id, observed_hours, restarts_per_hour, report_interval_seconds, completed_at FROM device_update_status
         -- The ranges and the order match one index; otherwise the planner may read updates of other rollouts, or of
         -- earlier generations, first.
         WHERE status = 'success' AND booted_at IS NOT NULL AND rollout_id >= :rollout AND rollout_id <= :rollout
           AND generation >= :generation AND generation <= :generation
           AND firmware_version >= :version AND firmware_version <= :version
         ORDER BY rollout_id, generation, firmware_version, id LIMIT ${SAMPLE_DEVICES}) AS u
       -- Looks up each device by itself, because the planner cannot estimate how many there are.
       CROSS JOIN LATERAL (SELECT * FROM devices WHERE device_id = u.device_id OFFSET 0) AS d
       WHERE d.revoked_at IS NULL
         AND d.current_firmware_version IN (SELECT jsonb_array_elements_text(:running::jsonb))) AS s`,
    {
      rollout: rollout.id,
      generation: rollout.generation,
      version,
      running: versionsInUse.filter((inUse) => runsRelease(inUse, version)),
      since: rollout.stage_began_at,
      now,
    },
  );
  const observed = (row?.observed ?? []).map(([restarts, seconds, restartsBefore, hoursBefore]) => ({
    restarts,
    hours: seconds / 3600,
    restartsBefore,
    hoursBefore,
  }));
  return { version, observed, later: { devices: row?.devices ?? 0, silent: row?.silent ?? 0 } };
}

const versionHealth = z.strictObject({
  firmware_version: z.string(),
  devices: z.int(),
  restarts: z.int(),
  device_hours: z.number(),
  /** Null where no time was observed. */
  restarts_per_device_hour: z.number().nullable(),
  heard_of: z.int(),
  silent: z.int(),
  /** Null where no device was heard of. */
  share_silent: z.number().nullable(),
});

/** Health of one version of a model, in all of the fleet. */
export type VersionHealth = RowOf<typeof versionHealth>;

/** The health of a version under any of its spellings, with or without a leading v. */
export async function readVersionHealth(sql: Sql, model: string, version: string): Promise<VersionHealth> {
  const [row] = await select(
    sql,
    versionHealth,
    `SELECT :version AS firmware_version, coalesce(sum(devices), 0)::integer AS devices,
       coalesce(sum(restarts), 0)::bigint AS restarts, coalesce(sum(device_hours), 0)::double precision AS device_hours,
       (sum(restarts) / nullif(sum(device_hours), 0))::double precision AS restarts_per_device_hour,
       coalesce(sum(heard_of), 0)::integer AS heard_of, coalesce(sum(silent), 0)::integer AS silent,
       (sum(silent)::double precision / nullif(sum(heard_of), 0)) AS share_silent
     FROM release_health
     WHERE device_model = :model AND firmware_version IN (ltrim(:version, 'vV'), 'v' || ltrim(:version, 'vV'),
       'V' || ltrim(:version, 'vV'))`,
    { model, version },
  );
  if (row === undefined) throw new Error(`the health of ${model} ${version} has no row; an aggregate has one`);
  return row;
}

/** The version that most devices ran before the newest rollout of a release brought it; undefined if none is known. */
export async function findVersionBefore(sql: Sql, model: string, version: string): Promise<string | undefined> {
  const [row] = await select(
    sql,
    z.strictObject({ before: z.string().nullable() }),
    `SELECT mode() WITHIN GROUP (ORDER BY previous_version) AS before FROM (
       SELECT u.previous_version FROM device_update_status AS u
       WHERE u.rollout_id = (SELECT max(id) FROM rollout_configurations
           WHERE device_model = :model AND firmware_version = :version)
         AND u.status = 'success' AND u.previous_version <> 'unknown' AND u.firmware_version = :version
       ORDER BY u.id DESC LIMIT ${SAMPLE_DEVICES}) AS newest`,
    { model, version },
  );
  return row?.before ?? undefined;
}
