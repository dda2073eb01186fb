import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { arnOf, startHttpServer } from '../kernel/index.ts';
import type { Resource } from './assembly.ts';
import type { Invoke } from './template-functions.ts';

/** @see https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html */
const answerSchema = z.object({
  Status: z.enum(['SUCCESS', 'FAILED']),
  Reason: z.string().optional(),
  PhysicalResourceId: z.string().min(1),
});

/**
 * Creates a custom resource as CloudFormation does: invokes its function with a URL that accepts one answer. Every start
 * creates it, because the database may be a different one than at the previous start.
 *
 * @throws Error with the function's reason if it answers FAILED, fails, or ends without an answer
 */
export async function runCustomResource(
  { logicalId, type, stack, properties }: Resource,
  invoke: Invoke,
): Promise<void> {
  let answer: string | undefined;
  const takeAnswer = async (request: IncomingMessage) => {
    answer = await text(request);
    return { status: 200 };
  };
  const listener = await startHttpServer({ host: '127.0.0.1', port: 0 }, takeAnswer, () => {});
  try {
    await invoke(String(properties.ServiceToken), {
      RequestType: 'Create',
      RequestId: randomUUID(),
      StackId: arnOf('cloudformation', `stack/${stack}/local`),
      LogicalResourceId: logicalId,
      ResourceType: type,
      ServiceToken: properties.ServiceToken,
      ResourceProperties: properties,
      ResponseURL: `http://127.0.0.1:${listener.port}/`,
    });
    // A function answers before it returns.
    if (answer === undefined) throw new Error('its function ended without an answer');
    const { Status, Reason } = answerSchema.parse(JSON.parse(answer));
    if (Status === 'FAILED') throw new Error(Reason ?? 'its function answered FAILED without a reason');
  } catch (cause) {
    throw new Error(`${logicalId} (${type}) could not be made: ${(cause as Error).message}`, { cause });
  } finally {
    await listener.close();
  }
}
