import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import mqtt, { type MqttClient } from 'mqtt';
import { z } from 'zod';
import type { TestSystem } from './system.ts';

const packetSchema = z.discriminatedUnion('packet', [
  z.strictObject({
    packet: z.literal('CONNECT'),
    client_id: z.string(),
    clean_session: z.boolean(),
    keep_alive: z.number(),
    will: z.null(),
  }),
  z.strictObject({ packet: z.literal('SUBSCRIBE'), topic: z.string(), qos: z.literal(0) }),
  z.strictObject({
    packet: z.literal('PUBLISH'),
    topic: z.string(),
    qos: z.literal(0),
    retain: z.boolean(),
    payload: z.record(z.string(), z.unknown()),
  }),
  z.strictObject({ packet: z.literal('DISCONNECT'), after_s: z.number() }),
]);
type Packet = z.infer<typeof packetSchema>;

interface Command {
  readonly url: string;
  readonly checksum: string;
  readonly version: string;
}

/** The packets that a device of the field sent in one window, with another device id and version. */
function readCapture(firmware: string, deviceId: string, version: string): Packet[] {
  const text = readFileSync(new URL(`../fixtures/captures/connect-${firmware}.jsonl`, import.meta.url), 'utf8');
  const own = text.replaceAll('ESP32-20E955A2', deviceId).replaceAll(`"${firmware}"`, `"${version}"`);
  return own
    .trim()
    .split('\n')
    .map((line) => packetSchema.parse(JSON.parse(line)));
}

/**
 * A client that sends exactly the packets of a captured window of field firmware, and carries out a command that arrives
 * on its command topic. It has no part of the virtual devices.
 */
export class CapturedFirmware {
  readonly deviceId: string;
  readonly #firmware: string;
  readonly #system: TestSystem;
  version: string;

  constructor(system: TestSystem, firmware: string, deviceId: string) {
    this.#system = system;
    this.#firmware = firmware;
    this.deviceId = deviceId;
    this.version = firmware;
  }

  /**
   * Opens a window: connects, subscribes and publishes as captured.
   * @returns the connection, after the broker has answered everything
   * @throws Error if the broker closes the connection
   */
  async openWindow(): Promise<OpenWindow> {
    const packets = readCapture(this.#firmware, this.deviceId, this.version);
    const client = await this.#connect(packets);
    const window = new OpenWindow(client, commandTopicOf(packets));
    for (const packet of packets) {
      if (packet.packet === 'SUBSCRIBE') await window.orClosed(client.subscribeAsync(packet.topic, { qos: 0 }));
      if (packet.packet === 'PUBLISH') {
        const { topic, retain, payload } = packet;
        await window.orClosed(client.publishAsync(topic, JSON.stringify(payload), { qos: 0, retain }));
      }
    }
    await window.roundTrip(`paku/edge/${this.deviceId}/control`);
    return window;
  }

  async #connect([connect]: readonly Packet[]): Promise<MqttClient> {
    if (connect?.packet !== 'CONNECT') throw new Error('the capture does not begin with CONNECT');
    const { host, port, caFile } = this.#system.runtime.endpoints.mqtt;
    const { certificateFile, privateKeyFile } = await this.#system.runtime.addDevice(this.deviceId);
    const [ca, cert, key] = [caFile, certificateFile, privateKeyFile].map((file) => readFileSync(file, 'utf8'));
    return mqtt.connectAsync({
      ...{ protocol: 'mqtts', host, port, maxVersion: 'TLSv1.2' },
      ...{ ca: ca ?? '', cert: cert ?? '', key: key ?? '' },
      ...{ clientId: connect.client_id, clean: connect.clean_session, keepalive: connect.keep_alive },
      ...{ protocolVersion: 4, reconnectPeriod: 0 },
    });
  }
}

function commandTopicOf(packets: readonly Packet[]): string {
  const found = packets.find((packet) => packet.packet === 'SUBSCRIBE' && packet.topic.endsWith('/cmd/ota'));
  if (found?.packet !== 'SUBSCRIBE') throw new Error('the capture subscribes to no command');
  return found.topic;
}

/** One connection of a {@link CapturedFirmware}. */
export class OpenWindow {
  readonly #client: MqttClient;
  readonly #closed: Promise<never>;
  /** The first command that arrives on the subscribed topic. */
  readonly command: Promise<Command>;
  readonly #commandTopic: string;

  constructor(client: MqttClient, commandTopic: string) {
    this.#client = client;
    this.#commandTopic = commandTopic;
    client.on('error', () => {});
    this.#closed = new Promise((_, reject) => {
      client.once('close', () => reject(new Error('the broker closed the connection')));
    });
    this.#closed.catch(() => {});
    this.command = new Promise((resolve) => {
      client.on('message', (topic, payload) => {
        if (topic === commandTopic) resolve(JSON.parse(payload.toString()) as Command);
      });
    });
  }

  get isConnected(): boolean {
    return this.#client.connected;
  }

  orClosed<T>(step: Promise<T>): Promise<T> {
    return Promise.race([step, this.#closed]);
  }

  /** Resolves when a message on the topic arrives. */
  heard(topic: string): Promise<void> {
    const arrived = new Promise<void>((resolve) => {
      this.#client.on('message', (name) => name === topic && resolve());
    });
    return this.orClosed(arrived);
  }

  async subscribe(topic: string): Promise<void> {
    await this.orClosed(this.#client.subscribeAsync(topic, { qos: 0 }));
  }

  async retain(topic: string): Promise<void> {
    await this.orClosed(this.#client.publishAsync(topic, '{}', { qos: 1, retain: true }));
  }

  /** Packets of QoS 0 have no answer; a repeated subscription shows that the broker took those before it. */
  async roundTrip(topic: string): Promise<void> {
    await this.subscribe(topic);
  }

  /** Accepts the command, downloads and compares, reports the result, and disconnects for the reboot. */
  async carryOut({ url, checksum, version }: Command): Promise<void> {
    const reports = this.#commandTopic.replace('cmd/ota', 'ota');
    const say = (leaf: string, payload: object) =>
      this.orClosed(this.#client.publishAsync(`${reports}/${leaf}`, JSON.stringify(payload)));
    await say('status', { status: 'accepted', version });
    const image = Buffer.from(await (await fetch(url)).arrayBuffer());
    const success = createHash('sha256').update(image).digest('hex') === checksum;
    await say('result', { version, success, result_code: success ? 0 : 3, message: success ? 'Success' : 'Failed' });
    await this.close();
  }

  close(): Promise<void> {
    return this.#client.endAsync();
  }
}
