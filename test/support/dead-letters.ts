import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';
import { ACCOUNT } from '../../local/kernel/index.ts';
import { ASSEMBLY } from './assembly.ts';
import type { TestSystem } from './system.ts';

/** Names of the dead-letter queues. */
export function deadLetterQueues(): string[] {
  const { Resources } = JSON.parse(readFileSync(join(ASSEMBLY, 'PakuOta.template.json'), 'utf8')) as {
    Resources: Record<string, { Type: string }>;
  };
  return Object.entries(Resources)
    .filter(([id, { Type }]) => Type === 'AWS::SQS::Queue' && id.includes('DeadLetters'))
    .map(([id]) => id);
}

/** Adds a message to a dead-letter queue, as after the last failed receive. */
export async function addDeadLetter({ runtime }: TestSystem, queue: string, body: string): Promise<void> {
  const { region, dataApi } = runtime.endpoints;
  const sqs = new SQSClient({ region, endpoint: dataApi.endpoint, credentials: dataApi });
  const QueueUrl = `${dataApi.endpoint}/${ACCOUNT}/${queue}`;
  await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries: [{ Id: '0', MessageBody: body }] }));
}

/** Adds a dead letter with a status that registers a new device. */
export async function addDeadStatus(system: TestSystem, deviceId: string): Promise<void> {
  const queue = deadLetterQueues().find((name) => name.startsWith('IngestStatusQueue'));
  if (queue === undefined) throw new Error('there is no dead-letter queue of statuses');
  const payload = Buffer.from('{"firmware_version":"1.0.0"}').toString('base64');
  const said = { payload, topic: `paku/edge/${deviceId}/status`, received_at: system.now().getTime() };
  await addDeadLetter(system, queue, JSON.stringify(said));
}
