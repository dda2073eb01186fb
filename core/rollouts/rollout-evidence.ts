import * as z from 'zod';
import { type Sql, select } from '../db/index.ts';
import {
  type ControlGroup,
  type CountedState,
  type Gates,
  isRecovery,
  NO_EVIDENCE,
  type ReleaseEvidence,
  type RolloutNumbers,
  setApart,
} from '../policy/index.ts';
import type { Cause } from '../protocol/index.ts';
import { laterTargetCutoff } from '../targeting/index.ts';
import type { CountedUpdates, RolloutRuntime } from './rollout-runtime.ts';

/** The number of the evidence in which the updates of a state count. Of failures the cause decides. */
const EVIDENCE_OF: Readonly<Record<CountedState, keyof ReleaseEvidence | 'by cause' | null>> = {
  pending: 'underWay',
  sent: 'underWay',
  downloading: 'underWay',
  downloaded: 'underWay',
  installing: 'underWay',
  on_probation: 'underWay',
  success: 'proven',
  late_rollback: 'failed',
  failed: 'by cause',
  rolled_back: 'by cause',
  timed_out: 'by cause',
  late_success: null,
  canceled: null,
};

/** The same for failures, by their cause. */
const EVIDENCE_OF_CAUSE: Readonly<Record<Cause, keyof ReleaseEvidence | null>> = {
  build: 'failed',
  silence: 'silent',
  delivery: 'undelivered',
  declined: null,
  not_reached: null,
};

const casesOf = (numbers: Readonly<Record<string, string | null>>) =>
  Object.entries(numbers).flatMap(([key, number]) => (number === null ? [] : `WHEN '${key}' THEN '${number}'`));

/** SQL for the number of the evidence in which an update `u` counts; null if it counts in none. */
export const NUMBER_OF_UPDATE = `CASE
         WHEN u.completed_at IS NULL AND u.unreachable_since IS NOT NULL AND u.started_at IS NOT NULL THEN 'silent'
         ELSE (SELECT CASE number WHEN 'by cause' THEN CASE u.cause ${casesOf(EVIDENCE_OF_CAUSE).join(' ')} END ELSE number END
           FROM (SELECT CASE counted_state(u.status, u.completed_at, u.late_success_at, u.late_rollback_at)
             ${casesOf(EVIDENCE_OF).join(' ')} END AS number) AS by_state) END`;

/** Adds updates to the evidence of their release. Declined and unreached updates are in none of its numbers. */
function addUpdates(evidence: ReleaseEvidence, { state, cause, updates }: CountedUpdates): ReleaseEvidence {
  const number = EVIDENCE_OF[state];
  const key = number === 'by cause' ? cause && EVIDENCE_OF_CAUSE[cause] : number;
  return key === null ? evidence : { ...evidence, [key]: evidence[key] + updates };
}

/** The evidence of one release of the rollout, of all stages or of one. Devices that failed before are set apart. */
export function evidenceOf(rollout: RolloutRuntime, version: string, stage?: number): ReleaseEvidence {
  const isOf = (counted: { readonly version: string; readonly stage: number }) =>
    counted.version === version && (stage === undefined || counted.stage === stage);
  const all = rollout.started_updates.filter(isOf).reduce(addUpdates, NO_EVIDENCE);
  const evidence = setApart(all, failedBefore(rollout, version, stage));
  const silent = rollout.silent_updates.filter(isOf).reduce((sum, { updates }) => sum + updates, 0);
  return { ...evidence, underWay: Math.max(0, evidence.underWay - silent), silent: evidence.silent + silent };
}

/** The evidence of devices that had failed before the rollout. */
export function failedBefore(rollout: RolloutRuntime, version: string, stage?: number): ReleaseEvidence {
  return rollout.failed_before_updates
    .filter((counted) => counted.version === version && (stage === undefined || counted.stage === stage))
    .reduce(addUpdates, NO_EVIDENCE);
}

/** True if a device went silent: only then is the control group worth a statement. */
export const hasSilence = ({ started_updates, silent_updates }: RolloutRuntime): boolean =>
  silent_updates.length > 0 || started_updates.some(({ cause }) => cause === 'silence');

/** Devices of a control group that one statement reads at most. */
const CONTROL_DEVICES = 2_000;
/** As many expected reports as for a device on probation; see `silenceSeconds` of the policy. */
const SILENT_REPORTS = 5;

/**
 * Devices of the same model that this rollout has sent nothing to, and that were heard of since it began; silent are
 * those that have missed five of their usual reports by now. A sample where there are many. The addition keeps the
 * planner from an index by rollout, which it would read once for each device of the sample.
 */
export async function loadControlGroup(sql: Sql, rollout: RolloutRuntime, now: Date): Promise<ControlGroup> {
  const [row] = await select(
    sql,
    z.strictObject({ devices: z.int(), silent: z.int() }),
    `SELECT count(*)::integer AS devices, (count(*) FILTER (WHERE sample.last_seen < :now::timestamptz
         - make_interval(secs => greatest(${SILENT_REPORTS} * coalesce(sample.report_interval_seconds, 3600), 300))))::integer
         AS silent
     FROM (
       SELECT d.last_seen, d.report_interval_seconds FROM devices AS d
       WHERE d.device_model = :model AND d.last_seen >= :since::timestamptz AND d.revoked_at IS NULL
         AND NOT EXISTS (SELECT FROM device_update_status AS u
           WHERE u.device_id = d.device_id AND u.rollout_id + 0 = :rollout AND u.counts_as_started OFFSET 0)
       LIMIT ${CONTROL_DEVICES}) AS sample`,
    { model: rollout.device_model, rollout: rollout.id, since: rollout.stage_began_at, now },
  );
  return row ?? NO_CONTROL_GROUP;
}

export const NO_CONTROL_GROUP: ControlGroup = { devices: 0, silent: 0 };

/** A rollout as its policy reads it. @param assigned devices that were assigned since it was loaded */
export function numbersOf(rollout: RolloutRuntime, assigned: number, control: ControlGroup): RolloutNumbers {
  const { firmware_version: version, started_updates, stage } = rollout;
  const others = [...new Set(started_updates.map((counted) => counted.version))].filter((name) => name !== version);
  return {
    stage,
    stageBeganAt: latest(rollout.stage_extended_at ?? rollout.stage_began_at, rollout.service_held_until),
    reachesAll: rollout.stage_is_exhausted || reachesTargets(rollout),
    size: rollout.stage_size ?? 1,
    sample: sampleOf(rollout, version),
    isEmpty: rollout.stage_sample === 0,
    gateHeldSince: rollout.gate_held_since,
    ofStage: evidenceOf(rollout, version, stage),
    total: evidenceOf(rollout, version),
    steppingStones: others.map((name) => ({ version: name, evidence: evidenceOf(rollout, name) })),
    control,
    isUnderWay: rollout.is_under_way || assigned > 0,
    startedCount: rollout.started_count,
    startLimit: rollout.stage_hash_cutoff === null ? null : rollout.start_limit,
    unexpected: rollout.unexpected,
  };
}

/** Devices that a hold of the service kept from an update are not replaced before they had their time. */
const latest = (...times: readonly (Date | null)[]): Date =>
  new Date(Math.max(...times.map((time) => time?.getTime() ?? 0)));

/** True if the present stage includes every target, those that register later too. */
const reachesTargets = (rollout: RolloutRuntime): boolean =>
  (rollout.stage_hash_cutoff ?? '') >= (rollout.target_hash_cutoff ?? '') &&
  (rollout.stage_later_cutoff ?? '') >= laterTargetCutoff(rollout);

/** Devices of the stage whose outcomes the gate waits for. */
function sampleOf(rollout: RolloutRuntime, version: string): number {
  const { underWay, proven, failed, silent } = failedBefore(rollout, version, rollout.stage);
  return Math.max(1, (rollout.stage_sample ?? 0) - underWay - proven - failed - silent);
}

export const gatesOf = ({ failure_threshold, failure_count, min_reports, target_filter }: RolloutRuntime): Gates => ({
  failureThreshold: failure_threshold,
  failureCount: failure_count,
  minReports: min_reports,
  neverHalts: isRecovery(target_filter),
});
