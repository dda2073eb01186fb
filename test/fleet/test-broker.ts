import { EventEmitter, once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { Aedes, type Client } from 'aedes';
import type { TestAuthority } from '../support/certificates.ts';

/** A message or a last will of a client. */
export interface ReceivedMessage {
  readonly clientId: string;
  readonly topic: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly payload: Record<string, unknown>;
}

/** An aedes broker over TLS with client certificates, which records all messages. */
export class TestBroker {
  readonly received: ReceivedMessage[] = [];
  /** Subscriptions of clients, in order. */
  readonly subscriptions: { readonly clientId: string; readonly topic: string; readonly qos: number }[] = [];
  /** Clients that acknowledged a QoS 1 message, once per message. */
  readonly acknowledgements: string[] = [];
  readonly clients = new Map<string, Client>();
  /** Clients whose connection ended or was replaced, in order. */
  readonly departures: string[] = [];
  private readonly changes = new EventEmitter();

  private constructor(
    private readonly aedes: Aedes,
    private readonly server: tls.Server,
    private readonly authority: TestAuthority,
  ) {
    aedes.on('publish', (packet, client) => {
      if (client === null) return;
      const { topic, qos, retain } = packet;
      this.note(() => {
        this.received.push({ clientId: client.id, topic, qos, retain, payload: JSON.parse(packet.payload.toString()) });
      });
    });
    aedes.on('subscribe', (subscriptions, client) => {
      for (const { topic, qos } of subscriptions) this.subscriptions.push({ clientId: client.id, topic, qos });
    });
    aedes.on('ack', (_packet, client) => this.note(() => this.acknowledgements.push(client.id)));
    aedes.on('clientReady', (client) => this.note(() => this.clients.set(client.id, client)));
    aedes.on('clientDisconnect', (client) => this.note(() => this.departures.push(client.id)));
    this.changes.setMaxListeners(0);
  }

  static async start(authority: TestAuthority): Promise<TestBroker> {
    const aedes = await Aedes.createBroker();
    const trust = { ca: authority.ca, requestCert: true, rejectUnauthorized: true, noDelay: true };
    const server = tls.createServer({ ...(await authority.issueServer()), ...trust }, (socket) => aedes.handle(socket));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return new TestBroker(aedes, server, authority);
  }

  async connectionFor(deviceId: string) {
    const { port } = this.server.address() as AddressInfo;
    return { host: '127.0.0.1', port, ca: this.authority.ca, ...(await this.authority.issueDevice(deviceId)) };
  }

  /** Sends a QoS 1 message to one client like AWS IoT's direct message, whether the client subscribed or not. */
  send(clientId: string, topic: string, payload: string): void {
    const client = this.clients.get(clientId);
    if (client === undefined) throw new Error(`${clientId} is not connected`);
    const packet = { cmd: 'publish', topic, payload: Buffer.from(payload), qos: 1, retain: false, dup: false } as const;
    client.publish(packet, () => {});
  }

  /** Publishes at QoS 1 to subscribers. */
  publish(topic: string, payload: string): void {
    const packet = { cmd: 'publish', topic, payload: Buffer.from(payload), qos: 1, retain: false, dup: false } as const;
    this.aedes.publish(packet, () => {});
  }

  /** All messages of one device on topics with this ending. */
  from(deviceId: string, topicEnd: string): ReceivedMessage[] {
    return this.received.filter(({ clientId, topic }) => clientId === deviceId && topic.endsWith(topicEnd));
  }

  /** Waits until the condition is true; it is checked after each message. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await once(this.changes, 'change');
  }

  /** Waits for the nth message of a device on topics with this ending. */
  async message(deviceId: string, topicEnd: string, nth = 1): Promise<Record<string, unknown>> {
    await this.until(() => this.from(deviceId, topicEnd).length >= nth);
    return this.from(deviceId, topicEnd)[nth - 1]?.payload ?? {};
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => this.aedes.close(() => resolve()));
    this.server.close();
    await once(this.server, 'close');
  }

  private note(change: () => void): void {
    change();
    this.changes.emit('change');
  }
}
