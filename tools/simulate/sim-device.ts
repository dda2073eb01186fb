import type { RandomSource } from '../../fleet/random.ts';

/** What happens when a device installs a build. */
export type BuildOutcome =
  | 'runs'
  | 'boots back'
  /** Boots, lives a minute, boots back. */
  | 'dies young'
  /** Says success and goes on as before. */
  | 'never reboots'
  /** Acknowledges and is never heard of again. */
  | 'silent'
  | { readonly failsWith: number }
  /** Runs, and calls itself something else. */
  | { readonly callsItself: string };

export interface SimDeviceOptions {
  readonly id: string;
  readonly version: string;
  readonly family: 'devices' | 'edge' | 'both';
  /** Seconds awake and asleep in turn; undefined: always awake. */
  readonly sleep?: { readonly awake: number; readonly asleep: number } | undefined;
  /** Share of its own messages that get lost. */
  readonly loss: number;
  readonly install: (version: string, attempt: number) => BuildOutcome;
}

/** What a device does at some second of the simulation. */
export type SimAction =
  | { readonly kind: 'status'; readonly version?: string }
  | { readonly kind: 'accepted'; readonly version: string }
  | { readonly kind: 'fetch'; readonly token: string; readonly version: string; readonly attempt: number }
  | { readonly kind: 'progress'; readonly percent: number }
  | { readonly kind: 'result'; readonly version: string; readonly code: number }
  | { readonly kind: 'boot'; readonly version: string };

export interface SimCommand {
  readonly family: 'devices' | 'edge';
  readonly token: string;
  readonly version: string;
}

/** A device as its contract describes it, on the level of messages: when it says what. Times are seconds. */
export class SimDevice {
  readonly options: SimDeviceOptions;
  version: string;
  bootedAt = 0;
  /** A device that is switched off for good. */
  isOff = false;
  commands = 0;
  readonly #random: RandomSource;
  readonly #phase: number;

  constructor(options: SimDeviceOptions, random: RandomSource) {
    this.options = options;
    this.version = options.version;
    this.#random = random;
    this.#phase =
      options.sleep === undefined ? 0 : wholeMinutes(random() * (options.sleep.awake + options.sleep.asleep));
  }

  isAwake(second: number): boolean {
    if (this.isOff) return false;
    const { sleep } = this.options;
    return sleep === undefined || (second + this.#phase) % (sleep.awake + sleep.asleep) < sleep.awake;
  }

  /** The first second from `second` on at which it wakes; undefined for one that never sleeps. */
  nextWake(second: number): number | undefined {
    const { sleep } = this.options;
    if (sleep === undefined) return undefined;
    const cycle = sleep.awake + sleep.asleep;
    return second + (cycle - ((second + this.#phase) % cycle));
  }

  /** The broker holds a client for connected for a while after it fell asleep. */
  looksConnected(second: number): boolean {
    return this.isAwake(second) || (!this.isOff && this.isAwake(second - 90));
  }

  isLost(): boolean {
    return this.#random() < this.options.loss;
  }

  /** What it does about a command. Nothing, where it does not listen on that family. */
  onCommand(second: number, { family, token, version }: SimCommand): [number, SimAction][] {
    if (this.options.family !== 'both' && this.options.family !== family) return [];
    this.commands++;
    return [
      [second + 1, { kind: 'accepted', version }],
      [second + 3, { kind: 'fetch', token, version, attempt: this.commands }],
    ];
  }

  /** What follows when the link was opened, or refused. */
  onDownload(second: number, isOpen: boolean, version: string, attempt: number): [number, SimAction][] {
    if (!isOpen) return [[second + 1, { kind: 'result', version, code: 2 }]];
    const outcome = this.options.install(version, attempt);
    if (outcome === 'silent') {
      this.isOff = true;
      return [];
    }
    const end = second + 40 + Math.floor(this.#random() * 120);
    const progress: [number, SimAction] = [second + 20, { kind: 'progress', percent: 50 }];
    if (typeof outcome === 'object' && 'failsWith' in outcome) {
      return [progress, [end, { kind: 'result', version, code: outcome.failsWith }]];
    }
    const boot = end + 10 + Math.floor(this.#random() * 40);
    return [progress, [end, { kind: 'result', version, code: 0 }], ...this.#boots(boot, outcome, version)];
  }

  #boots(
    boot: number,
    outcome: Exclude<BuildOutcome, 'silent' | { failsWith: number }>,
    version: string,
  ): [number, SimAction][] {
    const old = this.version;
    if (outcome === 'never reboots') return [[boot, { kind: 'status' }]];
    if (outcome === 'boots back')
      return [
        [boot + 15, { kind: 'boot', version: old }],
        [boot + 60, { kind: 'status' }],
      ];
    if (outcome === 'dies young')
      return [
        [boot, { kind: 'boot', version }],
        [boot + 60, { kind: 'boot', version: old }],
        [boot + 90, { kind: 'status' }],
      ];
    const name = outcome === 'runs' ? version : outcome.callsItself;
    return [
      [boot, { kind: 'boot', version: name }],
      [boot + 60, { kind: 'status' }],
      [boot + 120, { kind: 'status' }],
    ];
  }
}

/** Many that wake in the same minute are stored together, as in a batch of the queue. */
const wholeMinutes = (seconds: number) => Math.floor(seconds / 60) * 60;
