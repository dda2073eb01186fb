import { EventEmitter } from 'node:events';
import type { Clock } from './clock.ts';
import type { DeviceEvents } from './device-events.ts';
import type { VersionStore, VirtualDeviceOptions } from './device-options.ts';
import { FIELD_MIX, type Member, type MemberKind, membersOf } from './fleet-mix.ts';
import type { BrokerConnection } from './mqtt-session.ts';
import { seededRandom } from './random.ts';
import { VirtualDevice } from './virtual-device.ts';

/** Everything that makes a fleet. */
export interface FleetOptions {
  /** How many devices. */
  readonly size: number;
  /** Gives a device its place at the broker and its certificate; asked once per device, when the fleet starts. */
  readonly connectionFor: (deviceId: string) => BrokerConnection | Promise<BrokerConnection>;
  /** The version that devices start on, unless `persist` knows a later one. */
  readonly firmwareVersion: string;
  /** The kinds of devices, in turn. @default FIELD_MIX */
  readonly mix?: readonly MemberKind[];
  /** Makes identities and lost messages repeatable. @default 1 */
  readonly seed?: number;
  /** Used by every device. @default - the wall clock */
  readonly clock?: Clock;
  /** @default - versions are forgotten with the process */
  readonly persist?: VersionStore;
  /** What else every device has; its kind's own behaviours stay unless `behaviours` replaces them. */
  readonly common?: Partial<VirtualDeviceOptions>;
}

/** A number of virtual devices of mixed kinds; what happens to any of them is told by `state`. */
export class Fleet extends EventEmitter<DeviceEvents> {
  /** Who will be there, known before the fleet starts. */
  readonly members: readonly Member[];
  private running: VirtualDevice[] = [];

  constructor(private readonly options: FleetOptions) {
    super();
    this.members = membersOf(options.mix ?? FIELD_MIX, options.size, options.seed ?? 1);
  }

  /** The devices that were switched on. */
  get devices(): readonly VirtualDevice[] {
    return this.running;
  }

  /** Switches all devices on; throws what `connectionFor` throws. Does nothing if the fleet is on. */
  async start(): Promise<void> {
    if (this.running.length > 0) return;
    this.running = await Promise.all(this.members.map((member, index) => this.make(member, index)));
    for (const device of this.running) device.start();
  }

  /** Switches all devices off and resolves when their connections are closed. */
  async stop(): Promise<void> {
    await Promise.all(this.running.map((device) => device.stop()));
    this.running = [];
  }

  private async make(member: Member, index: number): Promise<VirtualDevice> {
    const { clock, persist, common, firmwareVersion, seed = 1, connectionFor } = this.options;
    const device = new VirtualDevice({
      ...member,
      ...(clock && { clock }),
      ...(persist && { persist }),
      firmwareVersion,
      random: seededRandom(seed + index),
      ...common,
      connection: await connectionFor(member.deviceId),
    });
    device.on('state', (event) => this.emit('state', event));
    return device;
  }
}
