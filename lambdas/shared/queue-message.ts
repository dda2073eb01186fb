import type { SQSRecord } from 'aws-lambda';
import { ENV } from '../../core/util/index.ts';
import { requireEnv } from './environment.ts';

const undeliveredQueueArn = requireEnv(ENV.undeliveredQueueArn);

/** What a topic rule, or its error action, put on a queue. */
export interface QueueMessage {
  readonly body: string;
  /**
   * When the error action put it there, which is soon after the device had sent it; undefined for what came by another
   * queue: a message that was moved there from the dead letters bears the time of the move.
   */
  readonly undeliveredAt?: Date;
}

export const toQueueMessage = ({ body, eventSourceARN, attributes }: SQSRecord): QueueMessage =>
  eventSourceARN === undeliveredQueueArn
    ? { body, undeliveredAt: new Date(Number(attributes.SentTimestamp)) }
    : { body };
