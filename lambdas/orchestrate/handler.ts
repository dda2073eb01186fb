import type { Context } from 'aws-lambda';
import { ENV } from '../../core/env-names.ts';
import { releaseLease, takeLease } from '../../core/leases.ts';
import { openDatabase } from '../shared/database.ts';
import { requireEnv } from '../shared/environment.ts';
import { logger } from '../shared/log.ts';
import { enqueue } from '../shared/queue.ts';
import { runTick } from './tick.ts';

const database = openDatabase();
const dispatchQueueUrl = requireEnv(ENV.dispatchQueueUrl);

/** Longer than the function may run: a tick that died gives way to the one after next. */
const LEASE_SECONDS = 90;

/** The schedule's tick; one at a time. */
export async function handler(_event: unknown, context: Context): Promise<void> {
  const now = new Date();
  const holder = context.awsRequestId;
  if (!(await takeLease(database, 'orchestrate', holder, now, LEASE_SECONDS))) {
    logger.info('another tick is still at work');
    return;
  }
  try {
    const { expired, rollouts } = await runTick(database, now, (updateIds) =>
      enqueue(
        dispatchQueueUrl,
        updateIds.map((updateId) => ({ updateId })),
      ),
    );
    for (const { owed, ...rollout } of rollouts) logger.info('rollout', { ...rollout, enqueued: owed.length });
    logger.info('tick', { expired });
  } finally {
    await releaseLease(database, 'orchestrate', holder);
  }
}
