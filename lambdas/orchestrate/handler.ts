import { isDeepStrictEqual } from 'node:util';
import type { Context } from 'aws-lambda';
import type { Sql } from '../../core/db/index.ts';
import { takeLease } from '../../core/db/index.ts';
import { listStalledRollouts } from '../../core/explain/index.ts';
import {
  assessIdle,
  hasWork,
  type IdleAssessment,
  idleUntil,
  isInIdleMode,
  mayEnterIdle,
  runTickAlone,
  sampleFleetVersions,
  sweepHistory,
} from '../../core/orchestrator/index.ts';
import { HALTED } from '../../core/policy/index.ts';
import { trustRule } from '../../core/release-policy/index.ts';
import { listUnverified, recordQueues, recountSlots } from '../../core/updates/index.ts';
import { ENV, type UpdateId } from '../../core/util/index.ts';
import { openDatabase } from '../shared/database.ts';
import { readModels, readSigning, requireEnv } from '../shared/environment.ts';
import { idleSweepMinutes, readIdleMarker, wake, writeIdleMarker } from '../shared/idle-marker.ts';
import { logger } from '../shared/log.ts';
import { count } from '../shared/metrics.ts';
import { enqueue } from '../shared/queue.ts';
import { countMessages } from './count-messages.ts';
import { publishRolloutEvents } from './publish-events.ts';
import { revokeOlderCertificates } from './revoke-older-certificates.ts';

const database = openDatabase();
const dispatchQueueUrl = requireEnv(ENV.dispatchQueueUrl);
const trust = trustRule(readModels(), readSigning());
const requireApproval = requireEnv(ENV.requireApproval) === 'true';
const revokesCertificates = requireEnv(ENV.revokeOlderCertificates) === 'true';
const thingType = requireEnv(ENV.thingType);
const historyDays = Number(requireEnv(ENV.historyDays));

/** Seconds between two samples of the fleet, and between two sweeps of its history. */
const HOUSEKEEPING_SECONDS = 300;
/** Counting reads every update of the active rollouts. */
const RECOUNT_SECONDS = 3_600;

/** Handles the scheduled tick; one tick runs at a time. In idle mode the database is not accessed. */
export async function handler(_event: unknown, context: Context): Promise<void> {
  const now = new Date();
  const marker = await readIdleMarker();
  if (isInIdleMode(marker, now)) return emitIdleMetrics();
  const assessment = idleSweepMinutes > 0 && mayEnterIdle(marker, now) ? await assessIdle(database, now) : undefined;
  const dueAts = await runTick(context.awsRequestId, now);
  if (assessment !== undefined && dueAts !== undefined) await enterIdle(assessment, dueAts, now);
}

/** Emits zeros too, so that the alarms have data to evaluate. */
const emitIdleMetrics = () => count({ ticks: 1, rolloutsHalted: 0 });

/** @returns when each rollout is due next; undefined while another tick is running */
async function runTick(holder: string, now: Date): Promise<(Date | null)[] | undefined> {
  if (!(await hasWork(database, now, { revokesCertificates }))) {
    emitIdleMetrics();
    return [];
  }
  const dispatch = (updateIds: readonly UpdateId[]) =>
    enqueue(
      dispatchQueueUrl,
      updateIds.map((updateId) => ({ updateId })),
    );
  const { readings, failure } = await countMessages();
  const processedUntil = await recordQueues(database, readings, now);
  const tick = await runTickAlone(database, holder, now, dispatch, { trust, requireApproval }, processedUntil);
  if (tick === undefined) {
    logger.info('another tick is still running');
    return undefined;
  }
  const published = await publishRolloutEvents(database, now);
  if (revokesCertificates) await revokeOlderCertificates(database, thingType, now);
  await runHousekeeping(database, holder, now);
  for (const { pending, ...rollout } of tick.rollouts) logger.info('rollout', { ...rollout, enqueued: pending.length });
  logger.info('tick', { expired: tick.expired, published: published.length, processedUntil });
  const halted = published.filter((change) => change.event === HALTED);
  count({ ticks: 1, rolloutsHalted: halted.length });
  for (const { rolloutId, error } of tick.problems) logger.error(`rollout ${rolloutId}`, error as Error);
  // The tick has finished its other work. The exception counts as an error of the function, and the next tick tries
  // again.
  if (tick.problems.length > 0)
    throw new Error(`rollouts failed: ${tick.problems.map(({ rolloutId }) => rolloutId).join(', ')}`);
  if (failure !== undefined)
    throw new Error('the messages that wait in the queues were not counted', { cause: failure });
  return tick.rollouts.map(({ dueAt }) => dueAt);
}

/**
 * Work that was written between the first assessment and the marker could not wake the system, so a second assessment
 * follows.
 */
async function enterIdle(assessment: IdleAssessment, dueAts: readonly (Date | null)[], now: Date): Promise<void> {
  const until = idleUntil(assessment, dueAts, idleSweepMinutes, now);
  if (until === undefined || assessment.devices === null) return;
  const { devices } = assessment;
  await writeIdleMarker({ state: 'idle', since: now.toISOString(), until: until.toISOString(), devices });
  if (!isDeepStrictEqual(await assessIdle(database, now), assessment)) await wake(now);
}

/** The lease is not released: its expiry is the interval. */
async function runHousekeeping(sql: Sql, holder: string, now: Date): Promise<void> {
  if (!(await takeLease(sql, 'housekeeping', holder, now, HOUSEKEEPING_SECONDS))) return;
  await sampleFleetVersions(sql, now);
  await countAttention(sql, now);
  await sweepHistory(sql, historyDays, now);
  if (!(await takeLease(sql, 'recount', holder, now, RECOUNT_SECONDS))) return;
  const corrected = await recountSlots(sql);
  if (corrected > 0) logger.warn('slots were counted again', { rolloutsCorrected: corrected });
}

/** Levels for the alarms. A rollout that only waits for absent devices is listed for operators and raises no alarm. */
async function countAttention(sql: Sql, now: Date): Promise<void> {
  const stalled = await listStalledRollouts(sql, now);
  const unverified = await listUnverified(sql);
  count({
    stalledRollouts: stalled.filter(({ isBlocked }) => isBlocked).length,
    unverifiedDevices: unverified.reduce((sum, { devices }) => sum + devices, 0),
  });
}
