import type { Context } from 'aws-lambda';
import { hasWork } from '../../core/agenda.ts';
import type { Sql } from '../../core/database.ts';
import { ENV } from '../../core/env-names.ts';
import { sampleFleetVersions, sweepHistory } from '../../core/housekeeping.ts';
import { takeLease } from '../../core/leases.ts';
import { ORCHESTRATOR } from '../../core/rollout-control.ts';
import { runTickAlone } from '../../core/tick.ts';
import { openDatabase } from '../shared/database.ts';
import { requireEnv } from '../shared/environment.ts';
import { logger } from '../shared/log.ts';
import { count } from '../shared/metrics.ts';
import { enqueue } from '../shared/queue.ts';
import { publishRolloutEvents } from './publish-events.ts';

const database = openDatabase();
const dispatchQueueUrl = requireEnv(ENV.dispatchQueueUrl);
const historyDays = Number(requireEnv(ENV.historyDays));

/** Between two samples of the fleet, and two sweeps of its history. */
const HOUSEKEEPING_SECONDS = 300;

/** The schedule's tick; one at a time. */
export async function handler(_event: unknown, context: Context): Promise<void> {
  const now = new Date();
  const holder = context.awsRequestId;
  if (!(await hasWork(database, now))) {
    count({ ticks: 1, rolloutsHalted: 0 });
    return;
  }
  const tick = await runTickAlone(database, holder, now, (updateIds) =>
    enqueue(
      dispatchQueueUrl,
      updateIds.map((updateId) => ({ updateId })),
    ),
  );
  if (tick === undefined) {
    logger.info('another tick is still at work');
    return;
  }
  const published = await publishRolloutEvents(database, now);
  await keepHouse(database, holder, now);
  for (const { owed, ...rollout } of tick.rollouts) logger.info('rollout', { ...rollout, enqueued: owed.length });
  logger.info('tick', { expired: tick.expired, published: published.length });
  const halted = published.filter((change) => change.event === 'rollout_halted' && change.decided_by === ORCHESTRATOR);
  count({ ticks: 1, rolloutsHalted: halted.length });
}

/** The lease is left to expire: that is the interval. */
async function keepHouse(sql: Sql, holder: string, now: Date): Promise<void> {
  if (!(await takeLease(sql, 'housekeeping', holder, now, HOUSEKEEPING_SECONDS))) return;
  await sampleFleetVersions(sql, now);
  await sweepHistory(sql, historyDays, now);
}
