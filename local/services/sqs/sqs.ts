import { createHash } from 'node:crypto';
import { z } from 'zod';
import { AwsError, type AwsService, authorize, type Identity, jsonService, operation } from '../../kernel/index.ts';
import { COUNTS, type Queues, queueByUrl } from './queues.ts';

/** Entries per batch (SQS quotas). */
const MAX_BATCH = 10;

const entrySchema = z.strictObject({ Id: z.string(), MessageBody: z.string().min(1) });

/** SQS for the queues of the template: SendMessageBatch, GetQueueAttributes and StartMessageMoveTask. */
export function sqsService(queues: Queues): AwsService {
  const permittedQueue = (url: string, identity: Identity, action: string) => {
    const queue = queueByUrl(queues, url);
    if (!queue) throw new AwsError('com.amazonaws.sqs#QueueDoesNotExist', 400, `There is no queue ${url}.`);
    authorize(identity, action, queue.settings.arn);
    return queue;
  };
  const sendBatch = operation(
    { QueueUrl: z.string(), Entries: z.array(entrySchema).min(1).max(MAX_BATCH) },
    ({ QueueUrl, Entries }, identity) => {
      const queue = permittedQueue(QueueUrl, identity, 'sqs:SendMessage');
      const sent = Entries.map(({ Id, MessageBody }) => {
        // The SDK verifies this digest.
        const MD5OfMessageBody = createHash('md5').update(MessageBody).digest('hex');
        return { Id, MessageId: queue.send(MessageBody), MD5OfMessageBody };
      });
      return { Successful: sent, Failed: [] };
    },
  );
  const getAttributes = operation(
    { QueueUrl: z.string(), AttributeNames: z.array(z.enum(COUNTS)) },
    ({ QueueUrl, AttributeNames }, identity) => {
      const { counts } = permittedQueue(QueueUrl, identity, 'sqs:GetQueueAttributes');
      return { Attributes: Object.fromEntries(AttributeNames.map((name) => [name, String(counts[name])])) };
    },
  );
  /** Moves all messages immediately; AWS moves them gradually. The caller needs the permissions of the move itself. */
  const startMove = operation(
    { SourceArn: z.string(), DestinationArn: z.string() },
    ({ SourceArn, DestinationArn }, identity) => {
      for (const action of ['StartMessageMoveTask', 'ReceiveMessage', 'DeleteMessage']) {
        authorize(identity, `sqs:${action}`, SourceArn);
      }
      authorize(identity, 'sqs:SendMessage', DestinationArn);
      const [from, to] = [queues.get(SourceArn), queues.get(DestinationArn)];
      if (!from || !to || to.settings.redrive?.deadLetterArn !== SourceArn) {
        throw new AwsError('UnsupportedOperation', 400, `${SourceArn} holds no dead letters of ${DestinationArn}.`);
      }
      for (const { body } of from.takeAll()) to.send(body);
      return { TaskHandle: SourceArn };
    },
  );
  return jsonService({
    'AmazonSQS.SendMessageBatch': sendBatch,
    'AmazonSQS.GetQueueAttributes': getAttributes,
    'AmazonSQS.StartMessageMoveTask': startMove,
  });
}
