import type { RandomSource } from '../../fleet/random.ts';

/** The outcome of installing a build. */
export type BuildOutcome =
  | 'runs'
  | 'boots back'
  /** Boots, runs for a minute, and is rolled back. */
  | 'dies young'
  /** Reports success and keeps running the old version. */
  | 'never reboots'
  /** Acknowledges the command and sends nothing more. */
  | 'silent'
  /** Boots, reports the new version once, and is off. */
  | 'goes dark'
  /** Boots the new version again every 20 s, and reports each time. */
  | 'crash loop'
  | { readonly failsWith: number }
  /** Runs, and is rolled back after that many seconds. */
  | { readonly rollsBackAfter: number }
  /** Runs and reports another version. */
  | { readonly embeddedVersion: string };

export interface SimDeviceOptions {
  readonly id: string;
  readonly version: string;
  readonly family: 'devices' | 'edge' | 'both';
  /** Alternating seconds awake and asleep; undefined means always awake. */
  readonly sleep?: { readonly awake: number; readonly asleep: number } | undefined;
  /** Share of the device's messages that are lost. */
  readonly loss: number;
  /** False: its statuses have no uptime, as in the first form of the status message. */
  readonly hasUptime: boolean;
  /** The second at which the device loses its power for good; undefined: never. */
  readonly offAt?: number | undefined;
  readonly install: (version: string, attempt: number) => BuildOutcome;
}

/** An action of a device at a second of the simulation. */
export type SimAction =
  | { readonly kind: 'status'; readonly version?: string }
  | { readonly kind: 'accepted'; readonly version: string }
  | { readonly kind: 'fetch'; readonly token: string; readonly version: string; readonly attempt: number }
  | { readonly kind: 'progress'; readonly percent: number }
  | { readonly kind: 'result'; readonly version: string; readonly code: number }
  | { readonly kind: 'boot'; readonly version: string }
  | { readonly kind: 'off' };

export interface SimCommand {
  readonly family: 'devices' | 'edge';
  readonly token: string;
  readonly version: string;
}

/** A device that is simulated on the level of messages. Times are seconds. */
export class SimDevice {
  readonly options: SimDeviceOptions;
  version: string;
  bootedAt = 0;
  /** True if the device is off permanently. */
  isOff = false;
  commands = 0;
  /** The version of each command that the device received. */
  readonly commandedVersions = new Set<string>();
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

  /** The next second at which the device wakes; undefined if it never sleeps. */
  nextWake(second: number): number | undefined {
    const { sleep } = this.options;
    if (sleep === undefined) return undefined;
    const cycle = sleep.awake + sleep.asleep;
    return second + (cycle - ((second + this.#phase) % cycle));
  }

  /** The broker considers a client connected for some time after it fell asleep. */
  appearsConnected(second: number): boolean {
    return this.isAwake(second) || (!this.isOff && this.isAwake(second - 90));
  }

  isLost(): boolean {
    return this.#random() < this.options.loss;
  }

  /** The actions after a command; none if the device does not subscribe to that topic family. */
  onCommand(second: number, { family, token, version }: SimCommand): [number, SimAction][] {
    if (this.options.family !== 'both' && this.options.family !== family) return [];
    this.commands++;
    this.commandedVersions.add(version);
    return [
      [second + 1, { kind: 'accepted', version }],
      [second + 3, { kind: 'fetch', token, version, attempt: this.commands }],
    ];
  }

  /** The actions after the download link was opened or refused. */
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
    if (outcome === 'goes dark')
      return [
        [boot, { kind: 'boot', version }],
        [boot + 15, { kind: 'off' }],
      ];
    if (outcome === 'crash loop')
      return Array.from({ length: 60 }, (_, n): [number, SimAction] => [boot + 20 * n, { kind: 'boot', version }]);
    const name = typeof outcome === 'object' && 'embeddedVersion' in outcome ? outcome.embeddedVersion : version;
    // The statuses of the probation; later ones are sent to the service only where they can matter.
    const statuses = Array.from({ length: 15 }, (_, n): [number, SimAction] => [
      boot + 60 * (n + 1),
      { kind: 'status' },
    ]);
    const actions: [number, SimAction][] = [[boot, { kind: 'boot', version: name }], ...statuses];
    if (typeof outcome === 'string' || !('rollsBackAfter' in outcome)) return actions;
    const rolledBack = boot + outcome.rollsBackAfter;
    return [...actions, [rolledBack, { kind: 'boot', version: old }], [rolledBack + 60, { kind: 'status' }]];
  }
}

/** Devices that wake in the same minute are stored together, as in a batch of the queue. */
const wholeMinutes = (seconds: number) => Math.floor(seconds / 60) * 60;
