import { once } from 'node:events';
import { onTestFinished } from 'vitest';
import type { DeviceEvent } from '../../fleet/device-events.ts';
import type { VirtualDeviceOptions } from '../../fleet/device-options.ts';
import { VirtualDevice } from '../../fleet/virtual-device.ts';
import { createTestAuthority, type TestAuthority } from '../support/certificates.ts';
import { ImageServer } from './image-server.ts';
import { TestBroker } from './test-broker.ts';
import { TestClock } from './test-clock.ts';

/** A device under test, its clock and its events. */
export interface Subject {
  readonly device: VirtualDevice;
  readonly id: string;
  readonly clock: TestClock;
  readonly events: DeviceEvent[];
  /** Waits for the nth event of a kind. */
  event<Kind extends DeviceEvent['kind']>(kind: Kind, nth?: number): Promise<Extract<DeviceEvent, { kind: Kind }>>;
}

/** A broker and an image server on real sockets, and devices that use them. */
export class Bench {
  private made = 0;

  private constructor(
    readonly authority: TestAuthority,
    readonly broker: TestBroker,
    readonly images: ImageServer,
  ) {}

  static async open(): Promise<Bench> {
    const authority = await createTestAuthority();
    return new Bench(authority, await TestBroker.start(authority), await ImageServer.start());
  }

  async close(): Promise<void> {
    await Promise.all([this.broker.stop(), this.images.stop()]);
  }

  /** Creates and starts a device for the test. It is stopped when the test ends. */
  async device(options: Partial<VirtualDeviceOptions> = {}): Promise<Subject> {
    this.made += 1;
    const deviceId = options.deviceId ?? `ESP32-0000000${this.made.toString(16).toUpperCase()}`;
    const clock = new TestClock();
    const connection = await this.broker.connectionFor(deviceId);
    const device = new VirtualDevice({ ...TYPICAL, clock, random: () => 0.5, connection, ...options, deviceId });
    const subject = observe(device, clock);
    onTestFinished(() => device.stop());
    device.start();
    return subject;
  }

  /** Like `device`, and waits until it is connected. */
  async connected(options: Partial<VirtualDeviceOptions> = {}): Promise<Subject> {
    const subject = await this.device(options);
    await subject.event('connected');
    await this.status(subject);
    return subject;
  }

  /** Waits for the nth status of a device. */
  status(subject: Subject, nth = 1): Promise<Record<string, unknown>> {
    return this.broker.message(subject.id, `/edge/${subject.id}/status`, nth);
  }

  /** Advances the clock by the 3 s before and the 5 s of a reboot. */
  async reboot(subject: Subject, nth = 1): Promise<void> {
    await subject.clock.letPass(3000);
    await subject.event('rebooting', nth);
    await subject.clock.letPass(5000);
  }

  /** Sends a command on the topic of older firmware. */
  command(subject: Subject, url: string, checksum: string, version: string): void {
    const payload = JSON.stringify({ url, checksum, version });
    this.broker.send(subject.id, `paku/devices/${subject.id}/cmd/ota`, payload);
  }
}

const TYPICAL = {
  model: 'esp32-s3',
  firmwareVersion: '1.0.0',
  mac: 'A0:B7:65:20:E9:55',
  chip: 'ESP32-S3',
  topicFamily: 'devices',
  statusForm: 'seed',
} as const;

function observe(device: VirtualDevice, clock: TestClock): Subject {
  const events: DeviceEvent[] = [];
  device.on('state', (event) => events.push(event));
  return {
    device,
    id: device.deviceId,
    clock,
    events,
    event: async <Kind extends DeviceEvent['kind']>(kind: Kind, nth = 1) => {
      for (;;) {
        const seen = events.filter((event): event is Extract<DeviceEvent, { kind: Kind }> => event.kind === kind);
        const wanted = seen[nth - 1];
        if (wanted !== undefined) return wanted;
        await once(device, 'state');
      }
    },
  };
}
