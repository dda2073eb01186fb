import {
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type AwsServer,
  compilePolicy,
  Identities,
  startAwsServer,
  systemClock,
} from '../../../../local/kernel/index.ts';
import { LocalQueue } from '../../../../local/services/sqs/queues.ts';
import { sqsService } from '../../../../local/services/sqs/sqs.ts';

const region = 'eu-west-1';
const arn = 'arn:aws:sqs:eu-west-1:000000000000:work';
const statement = (Action: string, Resource: string) => ({ Effect: 'Allow', Action, Resource });

const deadArn = `${arn}-dead`;

let queue: LocalQueue;
let dead: LocalQueue;
let aws: AwsServer;
let url: string;
let identities: Identities;
let client: SQSClient;

beforeEach(async () => {
  const redrive = { deadLetterArn: deadArn, maxReceiveCount: 1 };
  queue = new LocalQueue({ name: 'work', arn, visibilityTimeoutSeconds: 30, redrive }, () => dead, systemClock);
  dead = new LocalQueue({ name: 'dead', arn: deadArn, visibilityTimeoutSeconds: 30 }, () => undefined, systemClock);
  const services = {
    sqs: sqsService(
      new Map([
        [arn, queue],
        [deadArn, dead],
      ]),
    ),
  };
  identities = new Identities();
  aws = await startAwsServer({ host: '127.0.0.1', port: 0, identities, region, services, clock: Date.now });
  url = `${aws.url}/000000000000/work`;
  client = newClient('sqs:*');
});

afterEach(() => aws.close());

function newClient(action: string): SQSClient {
  const policy = compilePolicy('role', [{ Version: '2012-10-17', Statement: [statement(action, `${arn}*`)] }]);
  const credentials = identities.issueRole('role', 'arn:aws:iam::000000000000:role/role', policy);
  return new SQSClient({ region, endpoint: aws.url, credentials, maxAttempts: 1 });
}

const batchOf = (...bodies: string[]) => bodies.map((body) => ({ Id: body, MessageBody: body }));

describe('the local SQS endpoint', () => {
  it('accepts batches, and the SDK accepts their digests', async () => {
    const batch = new SendMessageBatchCommand({ QueueUrl: url, Entries: batchOf('a', 'b') });
    const { Successful, Failed } = await client.send(batch);
    expect(Successful?.map(({ Id }) => Id)).toEqual(['a', 'b']);
    expect(Failed ?? []).toEqual([]);
    expect(queue.messages.map(({ body }) => body)).toEqual(['a', 'b']);
  });

  it('reports the number of messages in a queue', async () => {
    await client.send(new SendMessageBatchCommand({ QueueUrl: url, Entries: batchOf('a', 'b') }));
    const look = new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['ApproximateNumberOfMessages'] });
    expect((await client.send(look)).Attributes).toEqual({ ApproximateNumberOfMessages: '2' });
  });

  it('counts messages in flight and delayed ones apart', async () => {
    const delays = [0, 0, 60_000];
    queue = new LocalQueue(
      { name: 'work', arn, visibilityTimeoutSeconds: 30 },
      () => undefined,
      systemClock,
      () => [delays.pop() ?? 0],
    );
    const counting = sqsService(new Map([[arn, queue]]));
    const server = await startAwsServer({
      host: '127.0.0.1',
      port: 0,
      identities,
      region,
      services: { sqs: counting },
      clock: Date.now,
    });
    for (const body of ['a', 'b', 'c']) queue.send(body);
    // A batch that is never done.
    queue.attach({ batchSize: 1, windowSeconds: 0, concurrency: 1, consume: () => new Promise(() => {}) });
    const names = [
      'ApproximateNumberOfMessages',
      'ApproximateNumberOfMessagesNotVisible',
      'ApproximateNumberOfMessagesDelayed',
    ] as const;
    const endpoint = new SQSClient({ region, endpoint: server.url, credentials: client.config.credentials });
    const look = new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: [...names] });
    const { Attributes } = await endpoint.send(look);
    await server.close();
    expect(Attributes).toEqual(Object.fromEntries(names.map((name) => [name, '1'])));
  });

  it('moves dead letters back to their source queue, and to no other', async () => {
    dead.send('a');
    dead.send('b');
    await client.send(new StartMessageMoveTaskCommand({ SourceArn: deadArn, DestinationArn: arn }));
    expect(dead.messages).toEqual([]);
    expect(queue.messages.map(({ body }) => body)).toEqual(['a', 'b']);
    const wrong = client.send(new StartMessageMoveTaskCommand({ SourceArn: arn, DestinationArn: deadArn }));
    await expect(wrong).rejects.toThrow('holds no dead letters of');
  });

  it('moves nothing for a role that may not read the dead letters', async () => {
    const move = new StartMessageMoveTaskCommand({ SourceArn: deadArn, DestinationArn: arn });
    await expect(newClient('sqs:StartMessageMoveTask').send(move)).rejects.toThrow('sqs:ReceiveMessage');
  });

  it('refuses a role that was not granted the action', async () => {
    const sending = newClient('sqs:ReceiveMessage').send(
      new SendMessageBatchCommand({ QueueUrl: url, Entries: batchOf('a') }),
    );
    await expect(sending).rejects.toMatchObject({ name: 'AccessDeniedException' });
    expect(queue.messages).toEqual([]);
  });

  it('refuses an unknown queue, parameter or operation', async () => {
    const elsewhere = new SendMessageBatchCommand({ QueueUrl: `${aws.url}/000000000000/other`, Entries: batchOf('a') });
    await expect(client.send(elsewhere)).rejects.toMatchObject({ name: 'QueueDoesNotExist' });
    const Entries = batchOf('a').map((entry) => ({ ...entry, MessageGroupId: 'g' }));
    await expect(client.send(new SendMessageBatchCommand({ QueueUrl: url, Entries }))).rejects.toThrow(
      'MessageGroupId',
    );
    await expect(client.send(new ReceiveMessageCommand({ QueueUrl: url }))).rejects.toThrow(
      "'AmazonSQS.ReceiveMessage' is not imitated here",
    );
  });
});
