import type { Context } from 'aws-lambda';
import { ENV } from '../../core/env-names.ts';
import { expireUpdates } from '../../core/expiry.ts';
import { releaseSlots } from '../../core/judging.ts';
import { releaseLease, takeLease } from '../../core/leases.ts';
import { readActiveRollouts } from '../../core/rollouts.ts';
import { openDatabase } from '../shared/database.ts';
import { requireEnv } from '../shared/environment.ts';
import { logger } from '../shared/log.ts';
import { enqueue } from '../shared/queue.ts';
import { driveRollout } from './drive-rollout.ts';

const database = openDatabase();
const dispatchQueueUrl = requireEnv(ENV.dispatchQueueUrl);

/** Longer than the function may run: a tick that died gives way to the one after next. */
const LEASE_SECONDS = 90;

/** One tick: close what is overdue, give back its slots, then let each active rollout claim and dispatch. */
export async function handler(_event: unknown, context: Context): Promise<void> {
  const now = new Date();
  const holder = context.awsRequestId;
  if (!(await takeLease(database, 'orchestrate', holder, now, LEASE_SECONDS))) {
    logger.info('another tick is still at work');
    return;
  }
  try {
    const expired = await expireUpdates(database, now);
    await releaseSlots(database);
    for (const rollout of await readActiveRollouts(database)) {
      const { claimed, owed, state } = await driveRollout(database, rollout, now);
      await enqueue(
        dispatchQueueUrl,
        owed.map((updateId) => ({ updateId })),
      );
      logger.info('rollout', { rollout: rollout.name, claimed, enqueued: owed.length, state });
    }
    logger.info('tick', { expired });
  } finally {
    await releaseLease(database, 'orchestrate', holder);
  }
}
