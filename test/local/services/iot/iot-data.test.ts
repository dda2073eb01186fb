import {
  GetConnectionCommand,
  IoTDataPlaneClient,
  PublishCommand,
  SendDirectMessageCommand,
} from '@aws-sdk/client-iot-data-plane';
import type { MqttClient } from 'mqtt';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AwsServer, compilePolicy, Identities, startAwsServer } from '../../../../local/kernel/index.ts';
import { iotDataService } from '../../../../local/services/iot/iot-data.ts';
import {
  ARN_PREFIX,
  type BrokerUnderTest,
  nextReceived,
  startBrokerUnderTest,
} from '../../../support/local/device-connection.ts';

const region = 'eu-west-1';
const TOPIC = 'paku/edge/van-1/cmd/ota';
const TOPICS = `${ARN_PREFIX}topic/paku/edge/*`;
const CLIENTS = `${ARN_PREFIX}client/*`;

let broker: BrokerUnderTest;
let aws: AwsServer;
let client: IoTDataPlaneClient;

beforeEach(async () => {
  broker = await startBrokerUnderTest();
  const identities = new Identities();
  const policy = compilePolicy('dispatch', [
    {
      Version: '2012-10-17',
      Statement: [
        { Effect: 'Allow', Action: 'iot:GetConnection', Resource: CLIENTS },
        { Effect: 'Allow', Action: 'iot:Publish', Resource: TOPICS },
        {
          Effect: 'Allow',
          Action: 'iot:SendDirectMessage',
          Resource: CLIENTS,
          Condition: { StringLike: { 'iot:Topic': 'paku/edge/*' } },
        },
        // It allows no direct message: they are authorized by their client.
        { Effect: 'Allow', Action: 'iot:SendDirectMessage', Resource: `${ARN_PREFIX}topic/*` },
      ],
    },
  ]);
  const credentials = identities.issueRole('dispatch', 'arn:aws:iam::000000000000:role/dispatch', policy);
  const services = { iotdata: iotDataService(broker.broker) };
  aws = await startAwsServer({ host: '127.0.0.1', port: 0, identities, region, services, clock: Date.now });
  client = new IoTDataPlaneClient({ region, endpoint: aws.url, credentials, maxAttempts: 1 });
});

afterEach(async () => {
  client.destroy();
  await aws.close();
  await broker.broker.close();
});

const send = (overrides: object = {}) =>
  client.send(
    new SendDirectMessageCommand({
      clientId: 'van-1',
      topic: TOPIC,
      payload: Buffer.from('go'),
      confirmation: true,
      timeout: 1,
      ...overrides,
    }),
  );

describe('SendDirectMessage on the local IoT data plane', () => {
  it('answers with a trace id once the device has acknowledged', async () => {
    const device = await broker.connect('van-1');
    const received = nextReceived(device);
    expect((await send()).traceId).toMatch(/^[0-9a-f-]{36}$/);
    expect((await received).payload).toBe('go');
  });

  it('is ResourceNotFoundException for a client that is not connected', async () => {
    await expect(send()).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
      $metadata: { httpStatusCode: 404 },
    });
  });

  it('is GatewayTimeoutException if the device does not acknowledge', async () => {
    const device = await broker.connect('van-1');
    device.handleMessage = () => {};
    await expect(send()).rejects.toMatchObject({ name: 'GatewayTimeoutException', $metadata: { httpStatusCode: 504 } });
  });

  it('is ForbiddenException if the policy of the caller or of the device does not allow it', async () => {
    await broker.connect('van-1');
    await expect(send({ topic: 'paku/other' })).rejects.toMatchObject({ name: 'ForbiddenException' });
    await expect(send({ topic: 'paku/edge/van-2/cmd/ota' })).rejects.toMatchObject({ name: 'ForbiddenException' });
  });

  it('accepts at most 128 KB and a timeout of 15 seconds', async () => {
    await expect(send({ payload: Buffer.alloc(128 * 1024 + 1) })).rejects.toMatchObject({
      name: 'RequestEntityTooLargeException',
    });
    await expect(send({ timeout: 16 })).rejects.toMatchObject({ name: 'InvalidRequestException' });
  });

  it('is refused without confirmation, which is not supported here', async () => {
    await expect(send({ confirmation: false })).rejects.toThrow('not imitated here');
  });
});

describe('Publish on the local IoT data plane', () => {
  it('reaches subscribers', async () => {
    const device = await broker.connect('van-1');
    await device.subscribeAsync(TOPIC, { qos: 1 });
    const received = nextReceived(device);
    await client.send(new PublishCommand({ topic: TOPIC, qos: 1, payload: Buffer.from('go') }));
    expect((await received).payload).toBe('go');
  });
});

describe('GetConnection on the local IoT data plane', () => {
  const ask = (clientId = 'van-1') => client.send(new GetConnectionCommand({ clientId }));

  it('names the time of the connection while the client is connected', async () => {
    const before = Date.now();
    await broker.connect('van-1');
    await expect.poll(ask).toMatchObject({ connected: true, clientId: 'van-1' });
    expect((await ask()).connectedSince).toBeGreaterThanOrEqual(before);
  });

  it.each<[string, (device: MqttClient) => void]>([
    ['AUTH_ERROR', (device) => device.subscribe('paku/#')],
    ['CLIENT_INITIATED_DISCONNECT', (device) => device.end()],
    ['CONNECTION_LOST', (device) => device.stream.destroy()],
    ['API_INITIATED_DISCONNECT', () => broker.broker.disconnect('van-1')],
  ])('names the reason %s after the client was disconnected', async (disconnectReason, act) => {
    const device = await broker.connect('van-1');
    device.on('error', () => {});
    act(device);
    await expect.poll(ask).toMatchObject({ connected: false, disconnectReason });
    expect((await ask()).disconnectedSince).toBeGreaterThan(Date.now() - 60_000);
  });

  it('is ResourceNotFoundException for a client that was not connected', async () => {
    await expect(ask('van-2')).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  });
});
