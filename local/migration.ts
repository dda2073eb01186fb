import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

interface Answer {
  readonly Status: 'SUCCESS' | 'FAILED';
  readonly Reason?: string;
}

/**
 * Runs a custom resource as CloudFormation does: invokes its function with an URL to answer to.
 * @throws Error with the function's own reason when it answers FAILED
 */
export async function runCustomResource(
  logicalId: string,
  properties: object,
  invoke: (event: object) => Promise<unknown>,
): Promise<void> {
  const { url, answer, close } = await listenForAnswer();
  try {
    const event = {
      RequestType: 'Create',
      RequestId: randomUUID(),
      StackId: 'local',
      LogicalResourceId: logicalId,
      ResourceType: 'Custom::PakuOtaMigration',
      ResourceProperties: properties,
      ResponseURL: url,
    };
    const [{ Status, Reason }] = await Promise.all([answer, invoke(event)]);
    if (Status !== 'SUCCESS') throw new Error(`${logicalId} failed: ${Reason ?? 'no reason given'}`);
  } finally {
    close();
  }
}

async function listenForAnswer(): Promise<{ url: string; answer: Promise<Answer>; close(): void }> {
  const { promise: answer, resolve } = withResolvers<Answer>();
  const server = createServer(async (request, response) => {
    resolve(JSON.parse(await text(request)) as Answer);
    response.end();
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, answer, close: () => server.close() };
}

/** `Promise.withResolvers`, which Node 20 lacks. */
function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
