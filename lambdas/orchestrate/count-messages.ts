import { GetQueueAttributesCommand, type QueueAttributeName, SQSClient } from '@aws-sdk/client-sqs';
import * as z from 'zod';
import { INGESTION_QUEUES, type QueueReading } from '../../core/updates/index.ts';
import { ENV } from '../../core/util/index.ts';
import { requireEnv } from '../shared/environment.ts';
import { logger } from '../shared/log.ts';

const client = new SQSClient({});
const urls = z.record(z.enum(INGESTION_QUEUES), z.array(z.string())).parse(JSON.parse(requireEnv(ENV.ingestionQueues)));

/** A batch that fails is in flight until its visibility timeout, so messages in flight may be old, too. */
const COUNTS: readonly QueueAttributeName[] = [
  'ApproximateNumberOfMessages',
  'ApproximateNumberOfMessagesNotVisible',
  'ApproximateNumberOfMessagesDelayed',
];

export interface QueueReadings {
  readonly readings: readonly QueueReading[];
  /** Why a queue could not be read; its reading then has no number. */
  readonly failure: unknown;
}

/** Counts the messages of devices that wait to be processed. */
export async function countMessages(): Promise<QueueReadings> {
  let failure: unknown;
  const readings = await Promise.all(
    INGESTION_QUEUES.map(async (queue): Promise<QueueReading> => {
      try {
        const counts = await Promise.all((urls[queue] ?? []).map(countIn));
        return { queue, messages: counts.reduce((sum, count) => sum + count, 0) };
      } catch (error) {
        logger.error(`messages of ${queue}`, error as Error);
        failure = error;
        return { queue, messages: null };
      }
    }),
  );
  return { readings, failure };
}

async function countIn(QueueUrl: string): Promise<number> {
  const { Attributes = {} } = await client.send(
    new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [...COUNTS] }),
  );
  return COUNTS.reduce((sum, name) => sum + Number(Attributes[name] ?? 0), 0);
}
