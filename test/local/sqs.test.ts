import {
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AwsServer, startAwsServer } from '../../local/aws-server.ts';
import { systemClock } from '../../local/clock.ts';
import { Identities } from '../../local/identities.ts';
import { compilePolicy } from '../../local/policy.ts';
import { LocalQueue } from '../../local/queues.ts';
import { sqsService } from '../../local/sqs.ts';

const region = 'eu-west-1';
const arn = 'arn:aws:sqs:eu-west-1:000000000000:work';
const statement = (Action: string, Resource: string) => ({ Effect: 'Allow', Action, Resource });

let queue: LocalQueue;
let aws: AwsServer;
let url: string;
let identities: Identities;
let client: SQSClient;

beforeEach(async () => {
  queue = new LocalQueue({ name: 'work', arn, visibilityTimeoutSeconds: 30 }, () => undefined, systemClock);
  const services = { sqs: sqsService((wanted) => (wanted.endsWith('/work') ? queue : undefined)) };
  identities = new Identities();
  aws = await startAwsServer({ host: '127.0.0.1', port: 0, identities, region, services, clock: Date.now });
  url = `${aws.url}/000000000000/work`;
  client = newClient('sqs:*');
});

afterEach(() => aws.close());

function newClient(action: string): SQSClient {
  const policy = compilePolicy('role', [{ Version: '2012-10-17', Statement: [statement(action, arn)] }]);
  const credentials = identities.issueRole('role', 'arn:aws:iam::000000000000:role/role', policy);
  return new SQSClient({ region, endpoint: aws.url, credentials, maxAttempts: 1 });
}

describe('the local SQS endpoint', () => {
  it('takes single messages and batches; the SDK accepts the digests', async () => {
    await client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'a' }));
    const Entries = ['b', 'c'].map((body) => ({ Id: body, MessageBody: body }));
    const { Successful, Failed } = await client.send(new SendMessageBatchCommand({ QueueUrl: url, Entries }));
    expect(Successful?.map(({ Id }) => Id)).toEqual(['b', 'c']);
    expect(Failed ?? []).toEqual([]);
    expect(queue.messages.map(({ body }) => body)).toEqual(['a', 'b', 'c']);
  });

  it('lets messages be looked at and deleted', async () => {
    await client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'a' }));
    const receive = new ReceiveMessageCommand({ QueueUrl: url, MaxNumberOfMessages: 10 });
    const { Messages = [] } = await client.send(receive);
    expect(Messages.map(({ Body }) => Body)).toEqual(['a']);
    expect((await client.send(receive)).Messages ?? []).toEqual([]);
    const all = new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['All'] });
    expect((await client.send(all)).Attributes).toMatchObject({ ApproximateNumberOfMessages: '1' });
    const [message] = Messages;
    await client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: message?.ReceiptHandle }));
    expect(queue.messages).toEqual([]);
  });

  it('refuses a role that was not granted the action', async () => {
    const reader = newClient('sqs:ReceiveMessage');
    const sending = reader.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'a' }));
    await expect(sending).rejects.toMatchObject({ name: 'AccessDeniedException' });
    expect(queue.messages).toEqual([]);
  });

  it('refuses a queue and a parameter that it does not know', async () => {
    const elsewhere = new SendMessageCommand({ QueueUrl: `${aws.url}/000000000000/other`, MessageBody: 'a' });
    await expect(client.send(elsewhere)).rejects.toMatchObject({ name: 'QueueDoesNotExist' });
    const fifo = new SendMessageCommand({ QueueUrl: url, MessageBody: 'a', MessageGroupId: 'g' });
    await expect(client.send(fifo)).rejects.toThrow('MessageGroupId');
  });
});
