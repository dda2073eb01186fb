import { GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, expect, it } from 'vitest';
import type { AwsService } from '../../local/kernel/index.ts';
import { type Call, type Fault, faultyService } from './faults.ts';
import { startEndpoints, type TestEndpoints } from './local/aws-endpoints.ts';

let endpoints: TestEndpoints | undefined;
afterEach(() => endpoints?.aws.close());

let carriedOut: number;
let killed: string[];
let calls: Call[];

/** Makes one call without retries to a service with the fault. */
async function call(fault: Fault | undefined): Promise<string> {
  carriedOut = 0;
  killed = [];
  calls = [];
  const service: AwsService = {
    async handle() {
      carriedOut++;
      return { status: 200, headers: { 'content-type': 'application/json' }, body: '{"Attributes":{"A":"1"}}' };
    },
  };
  const onCall = (asked: Call) => {
    calls.push(asked);
    return fault;
  };
  const faulty = faultyService('sqs', service, onCall, async (name) => {
    killed.push(name);
  });
  endpoints = await startEndpoints({ sqs: faulty });
  const client = new SQSClient({ ...endpoints.operator, maxAttempts: 1 });
  const command = new GetQueueAttributesCommand({ QueueUrl: 'http://127.0.0.1/1/q' });
  return client.send(command).then(
    () => 'answered',
    (error: Error) => error.name,
  );
}

it.each<[string, Fault | undefined, RegExp, number]>([
  ['none', undefined, /^answered$/, 1],
  ['refused', { kind: 'refused', code: 'ThrottlingException', status: 400 }, /^ThrottlingException$/, 0],
  ['reset', { kind: 'reset' }, /^(?!answered)/, 0],
  ['the answer lost', { kind: 'answer-lost' }, /^(?!answered)/, 1],
  ['the answer cut', { kind: 'answer-cut' }, /^(?!answered)/, 1],
  ['slow', { kind: 'slow', ms: 1 }, /^answered$/, 1],
  ['killed before', { kind: 'killed', when: 'before' }, /^(?!answered)/, 0],
  ['killed after', { kind: 'killed', when: 'after' }, /^(?!answered)/, 1],
])('a call with the fault "%s" has the expected result, and is performed or not', async (_, fault, end, times) => {
  expect(await call(fault)).toMatch(end);
  expect(carriedOut).toBe(times);
  expect(killed).toHaveLength(fault?.kind === 'killed' ? 1 : 0);
  expect(calls[0]).toMatchObject({ service: 'sqs', operation: 'AmazonSQS.GetQueueAttributes' });
});
