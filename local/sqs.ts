import { createHash } from 'node:crypto';
import { z } from 'zod';
import { AwsError, type AwsService, type Identity, permit } from './aws-service.ts';
import { jsonService, operation } from './json-service.ts';
import type { LocalQueue } from './queues.ts';

/** A batch holds at most this many (SQS quotas). */
const MAX_BATCH = 10;

const entrySchema = z.strictObject({ Id: z.string(), MessageBody: z.string().min(1) });

/** SQS, over the queues that the runtime feeds functions from: SendMessageBatch and GetQueueAttributes. */
export function sqsService(findQueue: (url: string) => LocalQueue | undefined): AwsService {
  const permittedQueue = (url: string, identity: Identity, action: string) => {
    const queue = findQueue(url);
    if (!queue) throw new AwsError('com.amazonaws.sqs#QueueDoesNotExist', 400, `There is no queue ${url}.`);
    permit(identity, action, queue.settings.arn);
    return queue;
  };
  const sendBatch = operation(
    { QueueUrl: z.string(), Entries: z.array(entrySchema).min(1).max(MAX_BATCH) },
    ({ QueueUrl, Entries }, identity) => {
      const queue = permittedQueue(QueueUrl, identity, 'sqs:SendMessage');
      const sent = Entries.map(({ Id, MessageBody }) => {
        // The SDK compares the digest with its own.
        const MD5OfMessageBody = createHash('md5').update(MessageBody).digest('hex');
        return { Id, MessageId: queue.send(MessageBody), MD5OfMessageBody };
      });
      return { Successful: sent, Failed: [] };
    },
  );
  const getAttributes = operation(
    { QueueUrl: z.string(), AttributeNames: z.array(z.literal('ApproximateNumberOfMessages')) },
    ({ QueueUrl }, identity) => {
      const { messages } = permittedQueue(QueueUrl, identity, 'sqs:GetQueueAttributes');
      return { Attributes: { ApproximateNumberOfMessages: String(messages.length) } };
    },
  );
  return jsonService({
    'AmazonSQS.SendMessageBatch': sendBatch,
    'AmazonSQS.GetQueueAttributes': getAttributes,
  });
}
