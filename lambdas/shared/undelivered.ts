import type { SQSRecord } from 'aws-lambda';
import { ENV } from '../../core/env-names.ts';
import { requireEnv } from './environment.ts';

const queueArn = requireEnv(ENV.undeliveredQueueArn);

/**
 * When the error action of a topic rule put a record on its queue, which is soon after the device had sent it; undefined
 * for records of other queues: one that was moved there from the dead letters bears the time of the move.
 */
export function undeliveredAt({ eventSourceARN, attributes }: SQSRecord): Date | undefined {
  return eventSourceARN === queueArn ? new Date(Number(attributes.SentTimestamp)) : undefined;
}
