import { setTimeout } from 'node:timers/promises';
import {
  ForbiddenException,
  GatewayTimeoutException,
  InvalidRequestException,
  IoTDataPlaneClient,
  IoTDataPlaneServiceException,
  PublishCommand,
  RequestEntityTooLargeException,
  ResourceNotFoundException,
  SendDirectMessageCommand,
  UnauthorizedException,
} from '@aws-sdk/client-iot-data-plane';
import { MAX_COMMANDS_AT_ONCE } from '../../core/protocol/index.ts';
import type { SendOutcome } from '../../core/updates/index.ts';
import { ENV } from '../../core/util/index.ts';
import { requireEnv } from '../shared/environment.ts';
import type { PlannedCommand } from './command-maker.ts';

/**
 * A batch is sent at once. With fewer connections, the last commands would wait for the acknowledgements of the first.
 */
const agent = { maxSockets: MAX_COMMANDS_AT_ONCE, keepAlive: true };

/** SDK v3 treats 504 as transient and would send the command three times. */
const client = new IoTDataPlaneClient({ maxAttempts: 1, requestHandler: { httpAgent: agent, httpsAgent: agent } });
const transport = requireEnv(ENV.commandTransport);

/** A connected device acknowledges within two seconds; a device that fell asleep never does. */
const CONFIRMATION_SECONDS = 5;
/** When the orchestrator picks an absent device again, unless the device reports earlier. */
const ABSENT_RETRY_MINUTES = 60;
const THROTTLED_RETRY_MINUTES = 1;
/**
 * AWS IoT denies about one call in a hundred although the rights are correct (aws-sdk-js-v3 issue 5562), and for minutes
 * after a role was changed. The SDK does not repeat such a call.
 */
const DENIED_RETRY_MS = [200, 1_000];
const DENIED_RETRY_MINUTES = 10;

/**
 * Sends one command once. Never throws: if it is unknown whether the device received the command, the outcome is
 * `unconfirmed`, or `published` where only the broker was asked to deliver it. A call that AWS IoT denies delivers
 * nothing and is repeated twice.
 * @param wait waits for a number of milliseconds
 * @returns the outcome of the send
 */
export async function sendCommand(
  command: PlannedCommand,
  attempt: number,
  now: Date,
  wait: (ms: number) => Promise<unknown> = setTimeout,
): Promise<SendOutcome> {
  const { id } = command;
  const send = () => (transport === 'publish' ? publish(command) : sendDirectly(command));
  try {
    await repeatDenied(send, wait);
    const outcome = transport === 'publish' ? 'published' : 'acknowledged';
    return { id, attempt, outcome, message: null, retryAt: null };
  } catch (error) {
    return { id, attempt, ...readFailure(error, now) };
  }
}

async function repeatDenied(send: () => Promise<unknown>, wait: (ms: number) => Promise<unknown>): Promise<void> {
  for (const ms of [...DENIED_RETRY_MS, undefined]) {
    try {
      await send();
      return;
    } catch (error) {
      if (ms === undefined || !isDenied(error)) throw error;
      await wait(ms);
    }
  }
}

const isDenied = (error: unknown) => error instanceof ForbiddenException || error instanceof UnauthorizedException;

function sendDirectly({ clientId, topic, payload }: PlannedCommand) {
  return client.send(
    new SendDirectMessageCommand({
      clientId,
      topic,
      payload: Buffer.from(payload),
      confirmation: true,
      timeout: CONFIRMATION_SECONDS,
    }),
  );
}

const publish = ({ topic, payload }: PlannedCommand) =>
  client.send(new PublishCommand({ topic, payload: Buffer.from(payload), qos: 1 }));

function readFailure(error: unknown, now: Date): Pick<SendOutcome, 'outcome' | 'message' | 'retryAt'> {
  if (error instanceof ResourceNotFoundException) {
    return { outcome: 'absent', message: 'the device is not connected', retryAt: inMinutes(now, ABSENT_RETRY_MINUTES) };
  }
  // No PUBACK: the device is usually asleep. It may have received the command, so the attempt does not send it again.
  if (error instanceof GatewayTimeoutException) return { outcome: 'unconfirmed', message: null, retryAt: null };
  if (isDenied(error)) {
    const times = DENIED_RETRY_MS.length + 1;
    const message = `AWS IoT denied the command, ${times} times in a row: ${(error as Error).message}`;
    return { outcome: 'denied', message, retryAt: inMinutes(now, DENIED_RETRY_MINUTES) };
  }
  if (error instanceof InvalidRequestException || error instanceof RequestEntityTooLargeException) {
    return { outcome: 'refused', message: `AWS IoT refused the command: ${error.message}`, retryAt: null };
  }
  if (error instanceof IoTDataPlaneServiceException && isBusy(error)) {
    const message = `AWS IoT did not accept the command: ${error.name}`;
    return { outcome: 'throttled', message, retryAt: inMinutes(now, THROTTLED_RETRY_MINUTES) };
  }
  return { outcome: 'unconfirmed', message: null, retryAt: null };
}

/** 429 and 5xx, including those that the SDK's model does not name. */
function isBusy({ name, $fault, $metadata: { httpStatusCode = 0 } }: IoTDataPlaneServiceException): boolean {
  return name === 'ThrottlingException' || $fault === 'server' || httpStatusCode === 429 || httpStatusCode >= 500;
}

const inMinutes = (now: Date, minutes: number) => new Date(now.getTime() + minutes * 60_000);
