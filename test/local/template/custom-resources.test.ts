import { describe, expect, it } from 'vitest';
import { runCustomResource } from '../../../local/template/custom-resources.ts';

interface RequestEvent {
  readonly RequestType: string;
  readonly ResponseURL: string;
  readonly ResourceProperties: object;
}

const properties = { ServiceToken: 'arn:function', schema: 'abc' };
const resource = { logicalId: 'Migration', type: 'Custom::Sample', stack: 'Sample', properties };

/** A function that answers this. */
const answering = (body: object) => async (_arn: string, event: unknown) => {
  const { ResponseURL } = event as RequestEvent;
  await fetch(ResponseURL, { method: 'PUT', body: JSON.stringify({ PhysicalResourceId: 'id', ...body }) });
};

describe('a custom resource', () => {
  it('is made when its function answers SUCCESS to the address in the event', async () => {
    const events: RequestEvent[] = [];
    await runCustomResource(resource, async (arn, event) => {
      events.push(event as RequestEvent);
      await answering({ Status: 'SUCCESS' })(arn, event);
    });
    expect(events).toMatchObject([
      { RequestType: 'Create', LogicalResourceId: 'Migration', ResourceProperties: { schema: 'abc' } },
    ]);
  });

  it('ends the start with the reason that its function gives', async () => {
    const failing = runCustomResource(resource, answering({ Status: 'FAILED', Reason: 'no such role' }));
    await expect(failing).rejects.toThrow('Migration (Custom::Sample) could not be made: no such role');
  });

  it('ends the start when its function fails, and when it forgets to answer', async () => {
    const broken = () => Promise.reject(new Error('out of memory'));
    await expect(runCustomResource(resource, broken)).rejects.toThrow('out of memory');
    await expect(runCustomResource(resource, async () => {})).rejects.toThrow('ended without an answer');
  });

  it('ends the start when the answer is not one that CloudFormation takes', async () => {
    await expect(runCustomResource(resource, answering({ Status: 'DONE' }))).rejects.toThrow('Status');
  });
});
