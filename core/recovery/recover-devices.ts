import * as z from 'zod';
import { type Sql, select } from '../db/index.ts';
import type { RecoveryRules } from '../policy/index.ts';
import type { TrustRule } from '../release-policy/index.ts';
import { insertRollout, type RolloutChange, type RolloutRow, type RolloutValues } from '../rollouts/index.ts';
import type { ReleaseId, RolloutId } from '../util/index.ts';
import { openOnes, planRecovery, type RecoveryPart, type RecoveryPlan } from './plan-recovery.ts';
import { type BadRollout, IS_SILENT, UPDATED_BY_ROLLOUT, updatedValues } from './updated-devices.ts';

/** A device that comes back after months is still sent back. */
const GIVE_UP_DAYS = 365;
/** As many as the table allows: a device that restarts again and again needs luck to fetch the image. */
const MAX_ATTEMPTS = 20;
/** Devices that one statement assigns, and statements of one call; the orchestrator assigns the rest. */
const DEVICES_PER_CALL = 5_000;
const CALLS = 4;

/** A rollout that sends devices back. */
export interface Recovery {
  readonly id: RolloutId;
  readonly name: string;
  readonly releaseId: ReleaseId;
  readonly version: string;
  readonly giveUpDays: number;
  readonly previousVersions: readonly string[];
  readonly badVersions: readonly string[];
}

/** What a recovery did. */
export interface RecoveryResult {
  /** Devices that were assigned now. */
  readonly assigned: number;
  /** What it could not do, as it was planned. */
  readonly plan: RecoveryPlan;
}

/**
 * Sends the devices that run the version of a rollout, or may run it, back to the version before: one rollout per version,
 * without waves and gates. A repeated call adds the devices that have come to run it since. The rollout must be stopped or
 * over.
 */
export async function recoverDevices(
  sql: Sql,
  rollout: RolloutRow,
  change: RolloutChange,
  now: Date,
  trust: TrustRule,
  rules: RecoveryRules = {},
): Promise<RecoveryResult> {
  const plan = await planRecovery(sql, rollout, trust, now, rules);
  const ids: RolloutId[] = [];
  let assigned = 0;
  for (const part of plan.parts) {
    const recovery = await findOrCreate(sql, rollout, part, plan, change.by, now);
    ids.push(recovery.id);
    await endProbations(sql, rollout.rollout_id, recovery, now);
    for (let calls = 0; calls < CALLS; calls++) {
      const devices = await assignRecovered(sql, rollout, recovery, now);
      assigned += devices;
      if (devices < DEVICES_PER_CALL) break;
    }
  }
  if (ids.length > 0) await recordRecovery(sql, change, { devices: assigned, rollouts: ids }, now);
  return { assigned, plan };
}

async function findOrCreate(
  sql: Sql,
  rollout: RolloutRow,
  part: RecoveryPart,
  plan: RecoveryPlan,
  by: string,
  now: Date,
): Promise<Recovery> {
  const { release, previousVersions } = part;
  const { badVersions } = plan;
  const made = {
    releaseId: release.id,
    version: release.version,
    giveUpDays: GIVE_UP_DAYS,
    previousVersions,
    badVersions,
  };
  const open = openOnes(plan.recoveries).find(({ firmware_version }) => firmware_version === release.version);
  if (open !== undefined) return { id: open.rollout_id, name: open.name, ...made };
  const before = plan.recoveries.filter(({ firmware_version }) => firmware_version === release.version).length;
  for (let n = before + 1; ; n++) {
    const name = nameOf(rollout, release.version, n);
    const id = await insertRollout(sql, valuesOf(rollout, name, part, badVersions), by, now);
    if (id !== undefined) return { id, name, ...made };
  }
}

/** Names of rollouts have at most 160 characters. */
const nameOf = ({ name, rollout_id: id }: BadRollout, version: string, n: number) =>
  `${name.slice(0, 60)} (#${id}) back to ${version}${n === 1 ? '' : ` (${n})`}`;

/**
 * It has the priority of the rollout: as the newer one of the two it goes before it, and a rollout that brings a better
 * version later goes before the recovery. The times and the limit per value of an attribute are those
 * of the rollout, because they are about the same devices.
 */
function valuesOf(
  rollout: RolloutRow,
  name: string,
  { release, previousVersions }: RecoveryPart,
  badVersions: readonly string[],
): RolloutValues {
  const recovers = { rollout: rollout.rollout_id, previous_versions: previousVersions };
  return {
    name,
    firmware_version: release.version,
    device_model: rollout.device_model,
    target_type: 'specific',
    target_filter: { versions: badVersions, recovers },
    rollout_percentage: 100,
    is_active: true,
    stages: [],
    failure_threshold: 1,
    failure_count: null,
    max_restart_ratio: null,
    min_reports: 1,
    max_attempts: MAX_ATTEMPTS,
    attempt_timeout_minutes: rollout.attempt_timeout_minutes,
    boot_timeout_minutes: rollout.boot_timeout_minutes,
    probation_minutes: rollout.probation_minutes,
    give_up_days: GIVE_UP_DAYS,
    max_in_flight: null,
    max_in_flight_per: rollout.max_in_flight_per,
    first_stage_covers: null,
    max_per_minute: null,
    start_at: null,
    after_rollout_id: null,
    end_at: null,
    send_window: null,
    jitter_minutes: 0,
    priority: rollout.priority,
    keep_open: false,
    allow_downgrade: true,
    include_unknown: true,
    // The version before a bad build is sent directly.
    stepping_stones: [],
  };
}

/**
 * Ends the updates of devices that are on probation with the bad release: a device has one open update, and no proof of
 * that release is wanted any more.
 * @returns how many
 */
export async function endProbations(
  sql: Sql,
  badRolloutId: RolloutId,
  { name, version, previousVersions }: Pick<Recovery, 'name' | 'version' | 'previousVersions'>,
  now: Date,
): Promise<number> {
  const rows = await sql.query(
    `WITH picked AS (
       SELECT id FROM device_update_status
       WHERE rollout_id = :rollout AND completed_at IS NULL AND booted_at IS NOT NULL
         AND previous_version IN (SELECT jsonb_array_elements_text(:previous::jsonb))
       ORDER BY id FOR UPDATE SKIP LOCKED
     )
     UPDATE device_update_status AS u SET
       status = 'canceled', completed_at = :now::timestamptz, deadline_at = NULL, error_message = :reason
     FROM picked WHERE u.id = picked.id
     RETURNING u.id`,
    { rollout: badRolloutId, previous: previousVersions, reason: `sent back to ${version} by rollout "${name}"`, now },
  );
  return rows.length;
}

/**
 * Assigns devices that run the bad release, or may run it, to a recovery. The command is sent when the device reports
 * next; the runtime row must be there for that, and a recovery has no wave to wait for.
 * @returns how many; at most {@link DEVICES_PER_CALL}
 */
export async function assignRecovered(
  sql: Sql,
  bad: BadRollout,
  recovery: Omit<Recovery, 'name'>,
  now: Date,
): Promise<number> {
  await sql.query(
    `INSERT INTO rollout_runtime (rollout_id, target_version, start_limit) VALUES (:recovery, :version, NULL)
     ON CONFLICT DO NOTHING`,
    { recovery: recovery.id, version: recovery.version },
  );
  const [row] = await select(
    sql,
    z.strictObject({ assigned: z.int() }),
    `WITH fence AS (
       SELECT p.generation, p.stage FROM rollout_runtime AS p
       JOIN rollout_configurations AS r ON r.id = p.rollout_id
         AND r.is_active AND r.paused_at IS NULL AND r.completed_at IS NULL
       WHERE p.rollout_id = :recovery AND NOT p.is_stopped FOR SHARE OF p
     ), picked AS MATERIALIZED (
       SELECT d.device_id, d.current_firmware_version FROM ${UPDATED_BY_ROLLOUT}
         AND b.previous_version IN (SELECT jsonb_array_elements_text(:previous::jsonb)) AND d.revoked_at IS NULL AND d.identity_changed_at IS NULL
         AND (d.current_firmware_version IN (SELECT jsonb_array_elements_text(:bad_versions::jsonb)) OR ${IS_SILENT})
         AND NOT EXISTS (SELECT FROM device_update_status AS u WHERE u.device_id = d.device_id
           AND (u.completed_at IS NULL AND u.rollout_id IS NOT NULL OR u.rollout_id = :recovery AND NOT u.is_reclaimable)
           OFFSET 0)
       ORDER BY b.id LIMIT ${DEVICES_PER_CALL}
     ), assigned AS (
       INSERT INTO device_update_status (device_id, rollout_id, release_id, firmware_version, stage, generation,
         previous_version, status, created_at, reported_at, deadline_at, enqueue_after, not_before)
       SELECT d.device_id, :recovery, :release, :version, fence.stage, fence.generation, d.current_firmware_version,
         'pending', :now::timestamptz, :now::timestamptz, :now::timestamptz + make_interval(days => :days::integer),
         :now::timestamptz - interval '1 year', :now::timestamptz
       FROM picked AS d, fence
       ON CONFLICT DO NOTHING
       RETURNING device_id
     ), replaced AS (
       UPDATE device_update_status AS o SET is_replaced = true FROM assigned
       WHERE o.device_id = assigned.device_id AND o.rollout_id = :recovery AND o.is_reclaimable AND NOT o.is_replaced
     )
     SELECT count(*)::integer AS assigned FROM assigned`,
    {
      ...updatedValues(bad),
      recovery: recovery.id,
      release: recovery.releaseId,
      version: recovery.version,
      days: recovery.giveUpDays,
      previous: recovery.previousVersions,
      bad_versions: recovery.badVersions,
      now,
    },
  );
  return row?.assigned ?? 0;
}

/** Records in the history of the rollout who sent its devices back, how many, and by which rollouts. */
async function recordRecovery(
  sql: Sql,
  { rolloutId, reason, by }: RolloutChange,
  numbers: { readonly devices: number; readonly rollouts: readonly RolloutId[] },
  now: Date,
): Promise<void> {
  await sql.query(
    `INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
     VALUES (:rollout, 'rollout_recovered', :now::timestamptz,
       jsonb_build_object('reason', :reason::text, 'by', :by::text, 'numbers', :numbers::jsonb),
       md5(:rollout::bigint || ' recovered ' || :now::timestamptz))
     ON CONFLICT DO NOTHING`,
    { rollout: rolloutId, reason, by, numbers, now },
  );
}
