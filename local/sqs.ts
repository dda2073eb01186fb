import { createHash } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { AwsError, type AwsService, permit } from './aws-service.ts';
import type { LocalQueue, Message } from './queues.ts';

/** A batch holds at most this many (SQS quotas). */
const MAX_BATCH = 10;

const sending = { MessageBody: z.string().min(1), DelaySeconds: z.number().int().min(0).max(900).default(0) };
const target = { QueueUrl: z.string() };

/** What each operation takes; a parameter that is not here is refused, not ignored. */
const OPERATIONS = {
  SendMessage: operation({ ...target, ...sending }, (queue, message) => send(queue, message)),
  SendMessageBatch: operation(
    { ...target, Entries: z.array(z.strictObject({ Id: z.string(), ...sending })).max(MAX_BATCH) },
    (queue, { Entries }) => ({
      Successful: Entries.map((entry) => ({ Id: entry.Id, ...send(queue, entry) })),
      Failed: [],
    }),
  ),
  ReceiveMessage: operation(
    { ...target, MaxNumberOfMessages: z.number().int().min(1).max(MAX_BATCH).default(1) },
    (queue, { MaxNumberOfMessages }) => ({ Messages: queue.receive(MaxNumberOfMessages).map(received) }),
  ),
  DeleteMessage: operation({ ...target, ReceiptHandle: z.string() }, (queue, { ReceiptHandle }) => {
    queue.delete(ReceiptHandle);
    return {};
  }),
  GetQueueAttributes: operation({ ...target, AttributeNames: z.array(z.string()).optional() }, (queue) => ({
    Attributes: attributesOf(queue),
  })),
};

/** SQS in its JSON protocol, over the queues that the runtime feeds functions from. */
export function sqsService(findQueue: (url: string) => LocalQueue | undefined): AwsService {
  return {
    async handle({ headers, body, identity }) {
      const name = String(headers['x-amz-target']).replace('AmazonSQS.', '');
      if (!(name in OPERATIONS)) {
        throw new AwsError('InvalidAction', 400, `The local SQS does not imitate '${name}'.`);
      }
      const input = JSON.parse(await text(body)) as { QueueUrl?: string };
      const queue = findQueue(String(input.QueueUrl));
      if (queue === undefined) {
        throw new AwsError('com.amazonaws.sqs#QueueDoesNotExist', 400, `There is no queue ${input.QueueUrl}.`);
      }
      permit(identity, `sqs:${name.replace('Batch', '')}`, queue.settings.arn);
      const answer = OPERATIONS[name as keyof typeof OPERATIONS](queue, input);
      return { status: 200, headers: { 'content-type': 'application/x-amz-json-1.0' }, body: JSON.stringify(answer) };
    },
  };
}

function operation<T extends z.ZodRawShape>(
  shape: T,
  act: (queue: LocalQueue, input: z.infer<z.ZodObject<T, z.core.$strict>>) => object,
): (queue: LocalQueue, input: unknown) => object {
  const schema = z.strictObject(shape);
  return (queue, input) => {
    const parsed = schema.safeParse(input);
    if (!parsed.success) throw new AwsError('InvalidParameterValue', 400, z.prettifyError(parsed.error));
    return act(queue, parsed.data);
  };
}

/** The SDK compares the digest with its own. */
const send = (queue: LocalQueue, { MessageBody, DelaySeconds }: { MessageBody: string; DelaySeconds: number }) => ({
  MessageId: queue.send(MessageBody, DelaySeconds),
  MD5OfMessageBody: md5(MessageBody),
});

const received = ({ id, body, receives }: Message) => ({
  MessageId: id,
  ReceiptHandle: id,
  Body: body,
  MD5OfBody: md5(body),
  Attributes: { ApproximateReceiveCount: String(receives) },
});

function attributesOf({ settings, messages }: LocalQueue): Record<string, string> {
  return {
    QueueArn: settings.arn,
    VisibilityTimeout: String(settings.visibilityTimeoutSeconds),
    ApproximateNumberOfMessages: String(messages.length),
  };
}

const md5 = (body: string) => createHash('md5').update(body).digest('hex');
