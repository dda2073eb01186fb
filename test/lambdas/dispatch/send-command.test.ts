import {
  ForbiddenException,
  GatewayTimeoutException,
  InternalFailureException,
  InvalidRequestException,
  IoTDataPlaneClient,
  IoTDataPlaneServiceException,
  PublishCommand,
  RequestEntityTooLargeException,
  ResourceNotFoundException,
  SendDirectMessageCommand,
  ServiceUnavailableException,
  ThrottlingException,
  UnauthorizedException,
} from '@aws-sdk/client-iot-data-plane';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { PlannedCommand } from '../../../lambdas/dispatch/command-maker.ts';
import { mockClient } from '../../support/mock-client.ts';

const iot = mockClient(IoTDataPlaneClient);
const now = new Date('2026-03-01T12:00:00Z');
const command: PlannedCommand = {
  id: 7,
  rolloutId: 1,
  family: 'devices',
  delivery: 'redirect',
  clientId: 'ESP32-1',
  topic: 'paku/devices/ESP32-1/cmd/ota',
  payload: '{"url":"u"}',
};

/** The module reads its settings when it is loaded, like a function that starts. */
async function load(transport: 'direct' | 'publish') {
  vi.resetModules();
  vi.stubEnv('COMMAND_TRANSPORT', transport);
  vi.stubEnv('AWS_REGION', 'eu-west-1');
  return import('../../../lambdas/dispatch/send-command.ts');
}

beforeEach(() => {
  iot.reset();
});

const failure = <T>(Exception: new (options: { $metadata: object; message: string }) => T) =>
  new Exception({ $metadata: {}, message: 'no' }) as Error;

const unnamed = (httpStatusCode: number) =>
  new IoTDataPlaneServiceException({ name: 'Other', $fault: 'client', $metadata: { httpStatusCode } });

describe('the outcome of a command:', () => {
  test('acknowledged: it was sent to the client id, with confirmation', async () => {
    const { sendCommand } = await load('direct');
    iot.on(SendDirectMessageCommand).resolves({ message: 'ok' });
    expect(await sendCommand(command, 1, now)).toMatchObject({ id: 7, attempt: 1, outcome: 'acknowledged' });
    const [call] = iot.commandCalls(SendDirectMessageCommand);
    expect(call?.args[0].input).toMatchObject({ clientId: 'ESP32-1', topic: command.topic, confirmation: true });
  });

  test.each([
    ['404, not connected', failure(ResourceNotFoundException), 'absent', new Date('2026-03-01T13:00:00Z')],
    ['504, no PUBACK', failure(GatewayTimeoutException), 'unconfirmed', null],
    ['429', failure(ThrottlingException), 'throttled', new Date('2026-03-01T12:01:00Z')],
    ['400', failure(InvalidRequestException), 'refused', null],
    ['413', failure(RequestEntityTooLargeException), 'refused', null],
    ['500', failure(InternalFailureException), 'throttled', new Date('2026-03-01T12:01:00Z')],
    ['503', failure(ServiceUnavailableException), 'throttled', new Date('2026-03-01T12:01:00Z')],
    ['502, which the model does not name', unnamed(502), 'throttled', new Date('2026-03-01T12:01:00Z')],
    ['429 under another name', unnamed(429), 'throttled', new Date('2026-03-01T12:01:00Z')],
    ['a broken connection with unknown result', new Error('socket hang up'), 'unconfirmed', null],
  ])('%s', async (_, error, outcome, retryAt) => {
    const { sendCommand } = await load('direct');
    iot.on(SendDirectMessageCommand).rejects(error);
    expect(await sendCommand(command, 1, now)).toMatchObject({ outcome, retryAt });
    expect(iot.commandCalls(SendDirectMessageCommand)).toHaveLength(1);
  });

  test.each([
    ['403', failure(ForbiddenException)],
    ['401', failure(UnauthorizedException)],
  ])('denied after three %s in a row, and sent again in ten minutes', async (_, error) => {
    const { sendCommand } = await load('direct');
    const waits: number[] = [];
    iot.on(SendDirectMessageCommand).rejects(error);
    const outcome = await sendCommand(command, 1, now, async (ms) => void waits.push(ms));
    expect(outcome).toMatchObject({ outcome: 'denied', retryAt: new Date('2026-03-01T12:10:00Z') });
    expect(outcome.message).toBe('AWS IoT denied the command, 3 times in a row: no');
    expect(waits).toEqual([200, 1_000]);
    expect(iot.commandCalls(SendDirectMessageCommand)).toHaveLength(3);
  });

  test('acknowledged if only the first answer is 403, as about one in a hundred is with correct rights', async () => {
    const { sendCommand } = await load('direct');
    iot.on(SendDirectMessageCommand).rejectsOnce(failure(ForbiddenException)).resolves({ message: 'ok' });
    expect(await sendCommand(command, 1, now, async () => {})).toMatchObject({ outcome: 'acknowledged' });
  });

  test('published at QoS 1 if the deployment has no direct messages: the broker does not report the delivery', async () => {
    const { sendCommand } = await load('publish');
    iot.on(PublishCommand).resolves({});
    expect(await sendCommand(command, 1, now)).toMatchObject({ outcome: 'published' });
    expect(iot.commandCalls(PublishCommand)[0]?.args[0].input).toMatchObject({ topic: command.topic, qos: 1 });
  });
});
