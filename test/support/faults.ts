import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Answer,
  AwsError,
  type AwsRequest,
  type AwsService,
  type Interceptors,
} from '../../local/kernel/index.ts';

/** One call of an AWS service. Nearly every await of a function is one. */
export interface Call {
  /** The name in the credential scope: `rds-data`, `s3`, `sqs`, `iotdata`, … */
  readonly service: string;
  /** The target, or method and path: `AmazonSQS.SendMessageBatch`, `POST /Execute`, `GET /bucket/key`. */
  readonly operation: string;
  /** The signer: the logical id of a function, or `operator`. */
  readonly caller: string;
}

/** The fault of a call. */
export type Fault =
  /** The service refuses the call with its own error. */
  | { readonly kind: 'refused'; readonly code: string; readonly status: number; readonly message?: string }
  /** The connection breaks before the call is performed. */
  | { readonly kind: 'reset' }
  /** The call is performed, and the connection breaks before the answer. */
  | { readonly kind: 'answer-lost' }
  /** The call is performed, and the connection breaks in the middle of the answer's body. */
  | { readonly kind: 'answer-cut' }
  /** The call is performed after a delay. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** The environments of the caller are killed before or after the call is performed, like in a crash or a timeout. */
  | { readonly kind: 'killed'; readonly when: 'before' | 'after' };

/** Decides the faults of a local system. */
export interface Faults extends Pick<Interceptors, 'onSend' | 'failsAction'> {
  /** @returns the fault of the call; undefined means none */
  onCall?(call: Call): Fault | undefined;
}

/** The interceptors of a runtime with these faults. */
export const interceptorsOf = (faults: Faults): Interceptors => ({
  wrapService: (name, service, kill) =>
    faults.onCall === undefined ? service : faultyService(name, service, (call) => faults.onCall?.(call), kill),
  onSend: (queue, body, sentAt) => faults.onSend?.(queue, body, sentAt) ?? [0],
  failsAction: (topic) => faults.failsAction?.(topic) ?? false,
});

/** Wraps a service with faults. @param kill terminates the environments of the function with that name */
export function faultyService(
  name: string,
  service: AwsService,
  onCall: (call: Call) => Fault | undefined,
  kill: (functionName: string) => Promise<void>,
): AwsService {
  return {
    async handle(request) {
      const caller = request.identity.name;
      const fault = onCall({ service: name, operation: operationOf(request), caller });
      if (fault === undefined) return service.handle(request);
      if (fault.kind === 'killed')
        return killCaller(
          fault.when,
          () => service.handle(request),
          () => kill(caller),
        );
      return applyFault(fault, () => service.handle(request));
    },
  };
}

const operationOf = ({ method, path, headers }: AwsRequest) => headers['x-amz-target'] ?? `${method} ${path}`;

async function applyFault(fault: Exclude<Fault, { kind: 'killed' }>, perform: () => Promise<Answer>): Promise<Answer> {
  if (fault.kind === 'refused') {
    throw new AwsError(fault.code, fault.status, fault.message ?? 'A fault that a test asked for.');
  }
  if (fault.kind === 'reset') return closedConnection();
  if (fault.kind === 'slow') await delay(fault.ms);
  const answer = await perform();
  if (fault.kind === 'answer-lost') return closedConnection();
  return fault.kind === 'answer-cut' ? { ...answer, body: await firstHalf(answer.body ?? '') } : answer;
}

async function killCaller(
  when: 'before' | 'after',
  perform: () => Promise<Answer>,
  die: () => Promise<void>,
): Promise<Answer> {
  if (when === 'after') await perform();
  await die();
  return closedConnection();
}

/** Closes the connection. The status is never sent, because the body breaks before its first byte. */
const closedConnection = (): Answer => ({ status: 200, body: brokenStream([]) });

async function firstHalf(body: NonNullable<Answer['body']>): Promise<Readable> {
  const whole = body instanceof Readable ? Buffer.concat(await body.toArray()) : Buffer.from(body);
  return brokenStream([whole.subarray(0, whole.length / 2)]);
}

/** A stream of these pieces that ends with an error. */
function brokenStream(pieces: readonly Buffer[]): Readable {
  return Readable.from(
    (async function* () {
      yield* pieces;
      throw new Error('a connection was brokenStream, as a test asked for');
    })(),
  );
}
