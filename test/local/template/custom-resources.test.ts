import { describe, expect, it } from 'vitest';
import { runCustomResource } from '../../../local/template/custom-resources.ts';

interface RequestEvent {
  readonly RequestType: string;
  readonly ResponseURL: string;
  readonly ResourceProperties: object;
}

const properties = { ServiceToken: 'arn:function', schema: 'abc' };
const resource = { logicalId: 'Migration', type: 'Custom::Sample', stack: 'Sample', properties };

/** A function that sends the given answer. */
const answering = (body: object) => async (_arn: string, event: unknown) => {
  const { ResponseURL } = event as RequestEvent;
  await fetch(ResponseURL, { method: 'PUT', body: JSON.stringify({ PhysicalResourceId: 'id', ...body }) });
};

describe('a custom resource', () => {
  it('is created when its function answers SUCCESS to the URL of the event', async () => {
    const events: RequestEvent[] = [];
    await runCustomResource(resource, async (arn, event) => {
      events.push(event as RequestEvent);
      await answering({ Status: 'SUCCESS' })(arn, event);
    });
    expect(events).toMatchObject([
      { RequestType: 'Create', LogicalResourceId: 'Migration', ResourceProperties: { schema: 'abc' } },
    ]);
  });

  it('fails the start with the reason of its function', async () => {
    const failing = runCustomResource(resource, answering({ Status: 'FAILED', Reason: 'no such role' }));
    await expect(failing).rejects.toThrow('Migration (Custom::Sample) could not be made: no such role');
  });

  it('fails the start if its function fails or does not answer', async () => {
    const broken = () => Promise.reject(new Error('out of memory'));
    await expect(runCustomResource(resource, broken)).rejects.toThrow('out of memory');
    await expect(runCustomResource(resource, async () => {})).rejects.toThrow('ended without an answer');
  });

  it('fails the start if CloudFormation would not accept the answer', async () => {
    await expect(runCustomResource(resource, answering({ Status: 'DONE' }))).rejects.toThrow('Status');
  });
});
