import { GetQueueAttributesCommand, SQSClient, StartMessageMoveTaskCommand } from '@aws-sdk/client-sqs';
import type { Services } from './context.ts';

const client = new SQSClient({});

export interface DeadLetterQueueAddress {
  readonly url: string;
  readonly arn: string;
  /** The queue from which the messages came. */
  readonly sourceArn: string;
}

/** @param queues by the name of their work */
export function sqsDeadLetters(queues: Readonly<Record<string, DeadLetterQueueAddress>>): Services['deadLetters'] {
  const countMessages = async (queue: string, { url }: DeadLetterQueueAddress) => {
    const command = new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['ApproximateNumberOfMessages'] });
    const { Attributes = {} } = await client.send(command);
    return { queue, messages: Number(Attributes.ApproximateNumberOfMessages ?? 0) };
  };
  return {
    list: () => Promise.all(Object.entries(queues).map(([name, address]) => countMessages(name, address))),
    async redrive(name) {
      const address = Object.hasOwn(queues, name) ? queues[name] : undefined;
      if (address === undefined) return undefined;
      const found = await countMessages(name, address);
      // The destination is stated, because SQS does not know it for messages that a topic rule put on the queue.
      const move = { SourceArn: address.arn, DestinationArn: address.sourceArn };
      if (found.messages > 0) await client.send(new StartMessageMoveTaskCommand(move));
      return found;
    },
  };
}
