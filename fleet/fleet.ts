import { EventEmitter } from 'node:events';
import type { Clock } from './clock.ts';
import type { DeviceEvents } from './device-events.ts';
import type { VersionStore, VirtualDeviceOptions } from './device-options.ts';
import { FIELD_MIX, type Member, type MemberKind, membersOf } from './fleet-mix.ts';
import type { BrokerConnection } from './mqtt-session.ts';
import { seededRandom } from './random.ts';
import { VirtualDevice } from './virtual-device.ts';

/** Options of a fleet. */
export interface FleetOptions {
  /** Number of devices. */
  readonly size: number;
  /** The broker and certificate of a device. Called once per device when the fleet starts. */
  readonly connectionFor: (deviceId: string) => BrokerConnection | Promise<BrokerConnection>;
  /** The version of devices at the first start; `persist` overrides it. */
  readonly firmwareVersion: string;
  /** The kinds of devices, used in turn. @default FIELD_MIX */
  readonly mix?: readonly MemberKind[];
  /** Determines identities and lost messages. @default 1 */
  readonly seed?: number;
  /** The clock of every device. @default the wall clock */
  readonly clock?: Clock;
  /** @default versions are not stored */
  readonly persist?: VersionStore;
  /** More options of every device. `behaviours` replaces the behaviours of the kind. */
  readonly common?: Partial<VirtualDeviceOptions>;
}

/** Virtual devices of several kinds. It emits the `state` events of all of them. */
export class Fleet extends EventEmitter<DeviceEvents> {
  /** The devices, known before the fleet starts. */
  readonly members: readonly Member[];
  private running: VirtualDevice[] = [];

  constructor(private readonly options: FleetOptions) {
    super();
    this.members = membersOf(options.mix ?? FIELD_MIX, options.size, options.seed ?? 1);
  }

  /** The devices that have been started. */
  get devices(): readonly VirtualDevice[] {
    return this.running;
  }

  /** Starts all devices. Does nothing if the fleet is running. @throws the error of `connectionFor` */
  async start(): Promise<void> {
    if (this.running.length > 0) return;
    this.running = await Promise.all(this.members.map((member, index) => this.make(member, index)));
    for (const device of this.running) device.start();
  }

  /** Stops all devices. Resolves when their connections are closed. */
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
