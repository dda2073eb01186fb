import type { Call, Fault, Faults } from './faults.ts';
import { readTaken, type TakenMessage } from './losses.ts';

/** Decides about the next call of one function; made anew for each function and each phase. */
export type Mishap = () => () => Fault | undefined;

/** The first calls fail that way. */
export const first =
  (count: number, fault: Fault): Mishap =>
  () => {
    let calls = 0;
    return () => (calls++ < count ? fault : undefined);
  };

/** The first calls fail, each in its own way. */
export const oneOfEach =
  (...faults: readonly Fault[]): Mishap =>
  () => {
    const left = [...faults];
    return () => left.shift();
  };

/** Every other call: what is repeated succeeds, and the next fails again. */
export const everyOther =
  (fault: Fault): Mishap =>
  () => {
    let calls = 0;
    return () => (calls++ % 2 === 0 ? fault : undefined);
  };

/** The function dies at its first call, then at its second, and so on: once at each of its awaits. */
export const killedInTurn =
  (when: 'before' | 'after', times: number): Mishap =>
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

/** What goes wrong now in a system, and a ledger of what its topic rules took. */
export class FaultPlan implements Faults {
  /** What topic rules, and their error actions, put on queues. */
  readonly taken: TakenMessage[] = [];
  /** Which functions met faults, phase by phase. */
  readonly met: Set<string>[] = [];
  #mishap: Mishap | undefined;
  #services: readonly string[] = [];
  #delays: (queue: string) => readonly number[] = () => [0];
  #ruleFailures: (() => Fault | undefined) | undefined;
  readonly #perFunction = new Map<string, () => Fault | undefined>();

  /** From now on each function meets this with each of these services, from its beginning. */
  begin(mishap: Mishap, services: readonly string[]): void {
    this.#mishap = mishap;
    this.#services = services;
    this.#perFunction.clear();
    this.met.push(new Set());
  }

  /** From now on queues give messages so often and so late. */
  deliver(delays: (queue: string) => readonly number[]): void {
    this.#delays = delays;
  }

  /** From now on every other message meets a rule whose action fails, or each does. */
  breakRules(which: 'every other' | 'each' = 'every other'): void {
    const fault: Fault = { kind: 'reset' };
    this.#ruleFailures = which === 'each' ? () => fault : everyOther(fault)();
  }

  /** From now on all is well. */
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
    if (fault !== undefined) this.met.at(-1)?.add(caller.replace(/[0-9A-F]{8}$/, ''));
    return fault;
  };

  failsAction = (): boolean => this.#ruleFailures?.() !== undefined;

  onSend = (queue: string, body: string, sentAt: Date): readonly number[] => {
    const taken = queue.includes('DeadLetters') ? undefined : readTaken(body, sentAt);
    if (taken !== undefined) this.taken.push(taken);
    return this.#delays(queue);
  };
}
