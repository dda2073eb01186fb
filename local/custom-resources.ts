import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { z } from 'zod';

export interface CustomResource {
  readonly logicalId: string;
  /** `Custom::…` */
  readonly type: string;
  readonly stackId: string;
  readonly properties: Readonly<Record<string, unknown>>;
}

/** @see https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html */
const answerSchema = z.object({
  Status: z.enum(['SUCCESS', 'FAILED']),
  Reason: z.string().optional(),
  PhysicalResourceId: z.string().min(1),
});
type Answer = z.infer<typeof answerSchema>;

/**
 * Makes a custom resource as CloudFormation does: invokes its function with a URL that takes one answer. Each start
 * makes it anew, since the database may be another one than last time.
 *
 * @throws Error with the function's own reason when it answers FAILED, fails, or ends without an answer
 */
export async function runCustomResource(
  { logicalId, type, stackId, properties }: CustomResource,
  invoke: (event: object) => Promise<unknown>,
): Promise<void> {
  const listener = await listenForAnswer();
  try {
    await invoke({
      RequestType: 'Create',
      RequestId: randomUUID(),
      StackId: stackId,
      LogicalResourceId: logicalId,
      ResourceType: type,
      ServiceToken: properties.ServiceToken,
      ResourceProperties: properties,
      ResponseURL: listener.url,
    });
    const { Status, Reason } = listener.answer();
    if (Status === 'FAILED') throw new Error(Reason ?? 'its function answered FAILED without a reason');
  } catch (cause) {
    throw new Error(`${logicalId} (${type}) could not be made: ${(cause as Error).message}`, { cause });
  } finally {
    listener.close();
  }
}

/** An address that takes what a custom resource's function answers. Functions answer before they return. */
async function listenForAnswer(): Promise<{ readonly url: string; answer(): Answer; close(): void }> {
  let body: string | undefined;
  const server = createServer(async (request, response) => {
    body = await text(request).catch(() => undefined);
    response.end();
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    answer() {
      if (body === undefined) throw new Error('its function ended without an answer');
      return answerSchema.parse(JSON.parse(body));
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
