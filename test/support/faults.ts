import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Answer,
  AwsError,
  type AwsRequest,
  type AwsService,
  type Interceptors,
} from '../../local/kernel/index.ts';

/** One call to an AWS endpoint. Nearly every await of a function is one. */
export interface Call {
  /** By the name in the credential scope: `rds-data`, `s3`, `sqs`, `iotdata`, … */
  readonly service: string;
  /** Its target or its method and path: `AmazonSQS.SendMessageBatch`, `POST /Execute`, `GET /bucket/key`. */
  readonly operation: string;
  /** Who signed it: a function's logical id, or `operator`. */
  readonly caller: string;
}

/** What goes wrong with a call. */
export type Fault =
  /** It is refused, as the service would word it, and not carried out. */
  | { readonly kind: 'refused'; readonly code: string; readonly status: number; readonly message?: string }
  /** The connection breaks before it is carried out. */
  | { readonly kind: 'reset' }
  /** It is carried out, and the connection breaks before the answer. */
  | { readonly kind: 'answer-lost' }
  /** It is carried out, and the connection breaks in the middle of the answer's body. */
  | { readonly kind: 'answer-cut' }
  /** It is carried out that much later. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** The caller's environments die, before it is carried out or after that: what a crash or a timeout does. */
  | { readonly kind: 'killed'; readonly when: 'before' | 'after' };

/** Decides what goes wrong in a local system. */
export interface Faults extends Pick<Interceptors, 'onSend' | 'failsAction'> {
  /** @returns what goes wrong with this call; undefined: nothing */
  onCall?(call: Call): Fault | undefined;
}

/** The hooks of a runtime in which these faults happen. */
export const interceptorsOf = (faults: Faults): Interceptors => ({
  wrapService: (name, service, kill) =>
    faults.onCall === undefined ? service : faultyService(name, service, (call) => faults.onCall?.(call), kill),
  onSend: (queue, body, sentAt) => faults.onSend?.(queue, body, sentAt) ?? [0],
  failsAction: (topic) => faults.failsAction?.(topic) ?? false,
});

/** The service with the faults of its calls. @param kill ends the environments of the function with that name */
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
        return dieAround(
          fault.when,
          () => service.handle(request),
          () => kill(caller),
        );
      return happen(fault, () => service.handle(request));
    },
  };
}

const operationOf = ({ method, path, headers }: AwsRequest) => headers['x-amz-target'] ?? `${method} ${path}`;

async function happen(fault: Exclude<Fault, { kind: 'killed' }>, carryOut: () => Promise<Answer>): Promise<Answer> {
  if (fault.kind === 'refused') {
    throw new AwsError(fault.code, fault.status, fault.message ?? 'A fault that a test asked for.');
  }
  if (fault.kind === 'reset') return hangUp();
  if (fault.kind === 'slow') await delay(fault.ms);
  const answer = await carryOut();
  if (fault.kind === 'answer-lost') return hangUp();
  return fault.kind === 'answer-cut' ? { ...answer, body: await firstHalf(answer.body ?? '') } : answer;
}

async function dieAround(
  when: 'before' | 'after',
  carryOut: () => Promise<Answer>,
  die: () => Promise<void>,
): Promise<Answer> {
  if (when === 'after') await carryOut();
  await die();
  return hangUp();
}

/** Nothing of an answer is sent before its body has begun: the client sees that the connection was closed. */
const hangUp = (): Answer => ({ status: 200, body: broken([]) });

async function firstHalf(body: NonNullable<Answer['body']>): Promise<Readable> {
  const whole = body instanceof Readable ? Buffer.concat(await body.toArray()) : Buffer.from(body);
  return broken([whole.subarray(0, whole.length / 2)]);
}

/** Gives these pieces, and breaks. */
function broken(pieces: readonly Buffer[]): Readable {
  return Readable.from(
    (async function* () {
      yield* pieces;
      throw new Error('a connection was broken, as a test asked for');
    })(),
  );
}
