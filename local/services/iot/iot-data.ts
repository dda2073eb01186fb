import { randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import {
  type Answer,
  AwsError,
  type AwsRequest,
  type AwsService,
  arnOf,
  authorize,
  decodeUri,
} from '../../kernel/index.ts';
import type { Broker } from './broker.ts';
import type { DirectMessageResult } from './direct-messages.ts';

/** The limit of a payload (AWS IoT Core quotas). */
const MAX_PAYLOAD_BYTES = 128 * 1024;

const FAILURES: Readonly<
  Record<Exclude<DirectMessageResult, 'delivered'>, [code: string, status: number, message: string]>
> = {
  'not-connected': ['ResourceNotFoundException', 404, 'The client is not connected.'],
  'not-permitted': ['ForbiddenException', 403, "The client's policy does not allow iot:Receive on the topic."],
  unconfirmed: ['GatewayTimeoutException', 504, 'The client did not acknowledge the message in time.'],
};

const PATHS = /^\/(?:topics\/([^/]+)|connections\/([^/]+)(\/messages|\/subscriptions)?)$/;

/** The AWS IoT data plane: Publish, SendDirectMessage, ListSubscriptions, GetConnection and DeleteConnection, as in the SDK's model. */
export function iotDataService(broker: Broker): AwsService {
  return {
    async handle(request) {
      const { method, path, body } = request;
      const payload = await buffer(body);
      if (payload.length > MAX_PAYLOAD_BYTES) {
        const message = `${payload.length} bytes, at most ${MAX_PAYLOAD_BYTES} are allowed.`;
        throw new AwsError('RequestEntityTooLargeException', 413, message);
      }
      const [, topic, clientId, part] = PATHS.exec(path) ?? [];
      if (topic !== undefined) await publish(request, decodeUri(topic), payload);
      else if (clientId !== undefined && part === '/subscriptions' && method === 'GET')
        return listSubscriptions(request, decodeUri(clientId));
      else if (clientId !== undefined && part === '/messages') await sendDirect(request, decodeUri(clientId), payload);
      else if (clientId !== undefined && part === undefined && method === 'GET')
        return getConnection(request, decodeUri(clientId));
      else if (clientId !== undefined && part === undefined && method === 'DELETE')
        disconnect(request, decodeUri(clientId));
      else throw notImitated(`${method} ${path}`);
      return json({ message: 'OK', traceId: randomUUID() });
    },
  };

  async function publish({ identity, query }: AwsRequest, topic: string, payload: Buffer): Promise<void> {
    authorize(identity, 'iot:Publish', arnOf('iot', `topic/${topic}`), 'ForbiddenException');
    if (query.get('qos') !== '1') throw notImitated('Publish at QoS 0');
    await broker.publish(topic, payload);
  }

  /** All of them in one page: a connection has 50 subscriptions at most on AWS. */
  function listSubscriptions({ identity }: AwsRequest, clientId: string): Answer {
    authorize(identity, 'iot:ListSubscriptions', arnOf('iot', `client/${clientId}`), 'ForbiddenException');
    const subscriptions = broker.subscriptionsOf(clientId);
    if (subscriptions === undefined) throw new AwsError(...FAILURES['not-connected']);
    return json({ subscriptions });
  }

  function getConnection({ identity }: AwsRequest, clientId: string): Answer {
    authorize(identity, 'iot:GetConnection', arnOf('iot', `client/${clientId}`), 'ForbiddenException');
    const connection = broker.connectionOf(clientId);
    if (connection === undefined) throw new AwsError(...FAILURES['not-connected']);
    return json({ clientId, ...connection });
  }

  function disconnect({ identity }: AwsRequest, clientId: string): void {
    authorize(identity, 'iot:DeleteConnection', arnOf('iot', `client/${clientId}`), 'ForbiddenException');
    if (!broker.disconnect(clientId)) throw new AwsError(...FAILURES['not-connected']);
  }

  async function sendDirect({ identity, query }: AwsRequest, clientId: string, payload: Buffer): Promise<void> {
    const topic = query.get('topic') ?? '';
    // The resource and the condition key of the Service Authorization Reference
    const resource = arnOf('iot', `client/${clientId}`);
    authorize(identity, 'iot:SendDirectMessage', resource, 'ForbiddenException', { 'iot:Topic': topic });
    if (query.get('confirmation') !== 'true') throw notImitated('SendDirectMessage without confirmation');
    const result = await broker.sendDirect({ clientId, topic, payload, confirmWithinMs: confirmationMs(query) });
    if (result !== 'delivered') throw new AwsError(...FAILURES[result]);
  }
}

const json = (body: object): Answer => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

const notImitated = (what: string) => new AwsError('MethodNotAllowedException', 405, `${what} is not imitated here.`);

/** The timeout parameter: 1 to 15 seconds, 5 by default (SendDirectMessage, API reference). */
function confirmationMs(query: URLSearchParams): number {
  const seconds = Number(query.get('timeout') ?? '5');
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= 15) return seconds * 1000;
  throw new AwsError('InvalidRequestException', 400, `timeout is ${query.get('timeout')}, expected 1 to 15 seconds.`);
}
