import { SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';

const client = new SQSClient({});
/** SQS accepts ten messages per call. */
const MESSAGES_PER_CALL = 10;

/**
 * Puts each value on the queue as JSON.
 * @throws Error if a message was not accepted; repeat the whole call, duplicates are harmless
 */
export async function enqueue(queueUrl: string, messages: readonly object[]): Promise<void> {
  const calls = [];
  for (let start = 0; start < messages.length; start += MESSAGES_PER_CALL) {
    calls.push(send(queueUrl, messages.slice(start, start + MESSAGES_PER_CALL)));
  }
  await Promise.all(calls);
}

async function send(queueUrl: string, messages: readonly object[]): Promise<void> {
  const entries = messages.map((message, i) => ({ Id: String(i), MessageBody: JSON.stringify(message) }));
  const { Failed = [] } = await client.send(new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries: entries }));
  if (Failed.length > 0)
    throw new Error(`SQS accepted ${messages.length - Failed.length} of ${messages.length}: ${Failed[0]?.Message}`);
}
