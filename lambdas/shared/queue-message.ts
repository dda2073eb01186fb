import type { SQSRecord } from 'aws-lambda';
import { ENV } from '../../core/util/index.ts';
import { requireEnv } from './environment.ts';

const undeliveredQueueArn = requireEnv(ENV.undeliveredQueueArn);

/** A message that a topic rule, or its error action, put on a queue. */
export interface QueueMessage {
  readonly body: string;
  /**
   * When the error action queued the message, shortly after the device sent it. Undefined for messages of any other
   * queue: for one that was moved there from a dead-letter queue, SQS states the time of the move.
   */
  readonly undeliveredAt?: Date;
}

export const toQueueMessage = ({ body, eventSourceARN, attributes }: SQSRecord): QueueMessage =>
  eventSourceARN === undeliveredQueueArn
    ? { body, undeliveredAt: new Date(Number(attributes.SentTimestamp)) }
    : { body };
