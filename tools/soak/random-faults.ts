import type { RandomSource } from '../../fleet/random.ts';
import type { Call, Fault, Faults } from '../../test/support/faults.ts';
import { parseQueuedMessage, type QueuedMessage } from '../../test/support/losses.ts';

/** Faults of any call. */
const ANYWHERE: readonly Fault[] = [
  { kind: 'reset' },
  { kind: 'answer-lost' },
  { kind: 'slow', ms: 500 },
  { kind: 'killed', when: 'before' },
  { kind: 'killed', when: 'after' },
];
const refused = (code: string, status: number): Fault => ({ kind: 'refused', code, status });
/** Faults by service. */
const OF_SERVICE: Readonly<Record<string, readonly Fault[]>> = {
  'rds-data': [refused('DatabaseResumingException', 400), refused('ServiceUnavailableError', 503)],
  s3: [refused('SlowDown', 503), { kind: 'answer-cut' }],
  iotdata: [
    refused('ThrottlingException', 429),
    refused('ResourceNotFoundException', 404),
    refused('GatewayTimeoutException', 504),
  ],
};

/** Random faults in a share of all calls, queues and rules, and a record of the messages that the rules queued. */
export class RandomFaults implements Faults {
  readonly queued: QueuedMessage[] = [];
  /** Number of faults by kind. */
  readonly injected: Record<string, number> = {};
  /** Share of calls with a fault, from 0 to 1. */
  share: number;
  readonly #random: RandomSource;

  constructor(share: number, random: RandomSource) {
    this.share = share;
    this.#random = random;
  }

  onCall = ({ service, caller }: Call): Fault | undefined => {
    if (caller === 'operator' || !this.#happens()) return undefined;
    const possible = [...ANYWHERE, ...(OF_SERVICE[service] ?? [])];
    const fault = possible[Math.floor(this.#random() * possible.length)] as Fault;
    this.#count(`${service} ${fault.kind === 'refused' ? fault.code : fault.kind}`);
    return fault;
  };

  onSend = (queue: string, body: string, sentAt: Date): readonly number[] => {
    const queued = queue.includes('DeadLetters') ? undefined : parseQueuedMessage(body, sentAt);
    if (queued !== undefined) this.queued.push(queued);
    if (!this.#happens()) return [0];
    this.#count('queue delivers late, and twice');
    return [this.#late(), this.#late()];
  };

  failsAction = (): boolean => {
    if (!this.#happens()) return false;
    this.#count('rule fails');
    return true;
  };

  #late = () => 1_000 * Math.ceil(this.#random() * 10);

  #happens = () => this.#random() < this.share;

  #count(what: string): void {
    this.injected[what] = (this.injected[what] ?? 0) + 1;
  }
}
