import type { RandomSource } from '../../fleet/random.ts';
import type { Call, Fault, Faults } from '../../test/support/faults.ts';
import { readTaken, type TakenMessage } from '../../test/support/losses.ts';

/** What may happen to any call. */
const ANYWHERE: readonly Fault[] = [
  { kind: 'reset' },
  { kind: 'answer-lost' },
  { kind: 'slow', ms: 500 },
  { kind: 'killed', when: 'before' },
  { kind: 'killed', when: 'after' },
];
const refused = (code: string, status: number): Fault => ({ kind: 'refused', code, status });
/** What a service says when it is not well. */
const OF_SERVICE: Readonly<Record<string, readonly Fault[]>> = {
  'rds-data': [refused('DatabaseResumingException', 400), refused('ServiceUnavailableError', 503)],
  s3: [refused('SlowDown', 503), { kind: 'answer-cut' }],
  iotdata: [
    refused('ThrottlingException', 429),
    refused('ResourceNotFoundException', 404),
    refused('GatewayTimeoutException', 504),
  ],
};

/** Faults of every kind in a share of all calls, queues and rules, and a ledger of what the rules took. */
export class RandomFaults implements Faults {
  readonly taken: TakenMessage[] = [];
  /** How many there were of each kind. */
  readonly met: Record<string, number> = {};
  /** 0 to 1; 0 ends them. */
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
    const taken = queue.includes('DeadLetters') ? undefined : readTaken(body, sentAt);
    if (taken !== undefined) this.taken.push(taken);
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
    this.met[what] = (this.met[what] ?? 0) + 1;
  }
}
