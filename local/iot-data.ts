import { randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { AwsError, type AwsRequest, type AwsService, permit } from './aws-service.ts';
import type { Broker } from './broker.ts';
import type { DirectMessageResult } from './direct-messages.ts';
import type { Answer } from './http-server.ts';

/** What a payload may have (AWS IoT Core quotas). */
const MAX_PAYLOAD_BYTES = 128 * 1024;

const FAILURES: Readonly<
  Record<Exclude<DirectMessageResult, 'delivered'>, [code: string, status: number, message: string]>
> = {
  'not-connected': ['ResourceNotFoundException', 404, 'The client is not connected.'],
  'not-permitted': ['ForbiddenException', 403, "The client's policy does not allow iot:Receive on the topic."],
  unconfirmed: ['GatewayTimeoutException', 504, 'The client did not acknowledge the message in time.'],
};

/** The AWS IoT data plane: Publish and SendDirectMessage, in the shapes of the SDK's model. */
export function iotDataService(broker: Broker, arnPrefix: string): AwsService {
  return {
    async handle(request) {
      const payload = await buffer(request.body);
      if (payload.length > MAX_PAYLOAD_BYTES) {
        throw new AwsError(
          'RequestEntityTooLargeException',
          413,
          `${payload.length} bytes, at most ${MAX_PAYLOAD_BYTES} are allowed.`,
        );
      }
      const topic = /^\/topics\/([^/]+)$/.exec(request.path)?.[1];
      if (topic !== undefined) return publish(request, decodeURIComponent(topic), payload);
      const clientId = /^\/connections\/([^/]+)\/messages$/.exec(request.path)?.[1];
      if (clientId !== undefined) return sendDirect(request, decodeURIComponent(clientId), payload);
      throw new AwsError(
        'MethodNotAllowedException',
        405,
        `The local IoT data plane does not imitate ${request.method} ${request.path}.`,
      );
    },
  };

  async function publish(request: AwsRequest, topic: string, payload: Buffer): Promise<Answer> {
    permitAll(request, 'iot:Publish', [`topic/${topic}`]);
    await broker.publish(topic, payload, request.query.get('qos') === '1' ? 1 : 0);
    return answer(200, {});
  }

  async function sendDirect(request: AwsRequest, clientId: string, payload: Buffer): Promise<Answer> {
    const topic = request.query.get('topic') ?? '';
    permitAll(request, 'iot:SendDirectMessage', [`client/${clientId}`, `topic/${topic}`]);
    const confirmWithinMs = request.query.get('confirmation') === 'true' ? confirmationMs(request) : undefined;
    const result = await broker.sendDirect({ clientId, topic, payload, confirmWithinMs });
    if (result === 'delivered') return answer(200, { message: 'delivered', traceId: randomUUID() });
    const [code, status, message] = FAILURES[result];
    throw new AwsError(code, status, message);
  }

  /** AWS does not say which resource it asks for; here a role needs both, so that neither grant can be missing there. */
  function permitAll({ identity }: AwsRequest, action: string, resources: readonly string[]): void {
    for (const resource of resources) permit(identity, action, arnPrefix + resource, 'ForbiddenException');
  }
}

/** 1 to 15 seconds, 5 unless said otherwise (SendDirectMessage, API reference). */
function confirmationMs({ query }: AwsRequest): number {
  const seconds = Number(query.get('timeout') ?? '5');
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= 15) return seconds * 1000;
  throw new AwsError('InvalidRequestException', 400, `timeout is ${query.get('timeout')}, expected 1 to 15 seconds.`);
}

const answer = (status: number, body: object): Answer => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});
