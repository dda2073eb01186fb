import type { Call, Fault, Faults } from './faults.ts';
import { parseQueuedMessage, type QueuedMessage } from './losses.ts';

/** Creates a function that decides the fault of each call. It is created for each calling function and each phase. */
export type FaultSequence = () => () => Fault | undefined;

/** The first `count` calls have this fault. */
export const first =
  (count: number, fault: Fault): FaultSequence =>
  () => {
    let calls = 0;
    return () => (calls++ < count ? fault : undefined);
  };

/** The first calls have these faults, one each. */
export const oneOfEach =
  (...faults: readonly Fault[]): FaultSequence =>
  () => {
    const left = [...faults];
    return () => left.shift();
  };

/** Every second call has the fault, beginning with the first: a retry succeeds, and the next call fails. */
export const everyOther =
  (fault: Fault): FaultSequence =>
  () => {
    let calls = 0;
    return () => (calls++ % 2 === 0 ? fault : undefined);
  };

/** The function is killed at its first call, then at its second, and so on. */
export const killedAtEachCall =
  (when: 'before' | 'after', times: number): FaultSequence =>
  () => {
    let deaths = 0;
    let calls = 0;
    return () => {
      if (deaths === times || ++calls <= deaths) return undefined;
      deaths++;
      calls = 0;
      return { kind: 'killed', when };
    };
  };

/** The current faults of a system, and a record of the messages that its topic rules queued. */
export class FaultPlan implements Faults {
  /** Messages that topic rules and their error actions put on queues. */
  readonly queued: QueuedMessage[] = [];
  /** Functions that were affected by faults, by phase. */
  readonly affected: Set<string>[] = [];
  #mishap: FaultSequence | undefined;
  #services: readonly string[] = [];
  #delays: (queue: string) => readonly number[] = () => [0];
  #ruleFailures: (() => Fault | undefined) | undefined;
  readonly #perFunction = new Map<string, () => Fault | undefined>();

  /** Begins a phase: each function gets the faults in its calls of these services, from the start of the sequence. */
  begin(mishap: FaultSequence, services: readonly string[]): void {
    this.#mishap = mishap;
    this.#services = services;
    this.#perFunction.clear();
    this.affected.push(new Set());
  }

  /** Sets the copies and delays of messages in queues. */
  deliver(delays: (queue: string) => readonly number[]): void {
    this.#delays = delays;
  }

  /** Makes the actions of topic rules fail for every second message, or for each. */
  breakRules(which: 'every other' | 'each' = 'every other'): void {
    const fault: Fault = { kind: 'reset' };
    this.#ruleFailures = which === 'each' ? () => fault : everyOther(fault)();
  }

  /** Ends all faults. */
  end(): void {
    this.#mishap = undefined;
    this.#ruleFailures = undefined;
    this.#delays = () => [0];
  }

  onCall = ({ service, caller }: Call): Fault | undefined => {
    if (this.#mishap === undefined || caller === 'operator' || !this.#services.includes(service)) return undefined;
    const decide = this.#perFunction.get(caller) ?? this.#mishap();
    this.#perFunction.set(caller, decide);
    const fault = decide();
    if (fault !== undefined) this.affected.at(-1)?.add(caller.replace(/[0-9A-F]{8}$/, ''));
    return fault;
  };

  failsAction = (): boolean => this.#ruleFailures?.() !== undefined;

  onSend = (queue: string, body: string, sentAt: Date): readonly number[] => {
    const queued = queue.includes('DeadLetters') ? undefined : parseQueuedMessage(body, sentAt);
    if (queued !== undefined) this.queued.push(queued);
    return this.#delays(queue);
  };
}
