import { createHash } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { AwsError, accessDenied } from './aws-error.ts';
import type { AwsService } from './aws-service.ts';
import type { LocalQueue } from './queues.ts';

interface Entry {
  readonly Id: string;
  readonly MessageBody: string;
}

/** SQS's SendMessage and SendMessageBatch (JSON protocol): what functions use. Consumers are attached, they do not poll. */
export function sqsService(findQueue: (url: string) => LocalQueue | undefined): AwsService {
  return {
    async handle(request) {
      const operation = String(request.headers['x-amz-target']).replace('AmazonSQS.', '');
      const input = JSON.parse(await text(request.body)) as { QueueUrl: string; MessageBody: string; Entries: Entry[] };
      const queue = findQueue(input.QueueUrl);
      if (queue === undefined) {
        throw new AwsError('AWS.SimpleQueueService.NonExistentQueue', 400, `There is no queue ${input.QueueUrl}.`);
      }
      if (!request.identity.allows('sqs:SendMessage', queue.settings.arn)) {
        throw accessDenied(request.identity.arn, 'sqs:SendMessage', queue.settings.arn);
      }
      if (operation === 'SendMessage') return json(send(queue, input.MessageBody));
      if (operation !== 'SendMessageBatch') {
        throw new AwsError('InvalidAction', 400, `The local SQS does not imitate '${operation}'.`);
      }
      if (input.Entries.length > 10) {
        throw new AwsError(
          'TooManyEntriesInBatchRequest',
          400,
          `${input.Entries.length} entries, at most 10 are allowed.`,
        );
      }
      const Successful = input.Entries.map(({ Id, MessageBody }) => ({ Id, ...send(queue, MessageBody) }));
      return json({ Successful, Failed: [] });
    },
  };
}

/** The SDK compares the digest with its own. */
const send = (queue: LocalQueue, body: string) => ({
  MessageId: queue.send(body),
  MD5OfMessageBody: createHash('md5').update(body).digest('hex'),
});

const json = (body: object) => ({
  status: 200,
  headers: { 'content-type': 'application/x-amz-json-1.0' },
  body: JSON.stringify(body),
});
