import { once } from 'node:events';
import { type Duplex, duplexPair } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { type IPublishPacket, MqttClient } from 'mqtt';
import { packetBytes } from './packet-size.ts';
import { checkDnsNames } from './server-identity.ts';

/** Address of the broker, and certificates in PEM. */
export interface BrokerConnection {
  readonly host: string;
  readonly port: number;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Options of an MQTT connection. */
export interface SessionOptions {
  readonly connection: BrokerConnection;
  readonly clientId: string;
  readonly keepaliveSeconds: number;
  readonly will: { readonly topic: string; readonly payload: string } | undefined;
  /** Maximum size of a received packet in bytes. */
  readonly packetLimit: number;
  /** Called for each PUBLISH within the limit. The PUBLISH is acknowledged when the promise resolves. */
  readonly received: (topic: string, payload: Uint8Array) => Promise<void>;
  /** Called for each PUBLISH over the limit. */
  readonly dropped: (topic: string, bytes: number) => void;
}

const GOODBYE_MS = 1000;

/**
 * An MQTT 3.1.1 session over TLS 1.2 like that of PubSubClient: clean, never resumed, by default with a last will at QoS 1. It can
 * go silent without closing the TCP connection, like a device that loses power or falls asleep.
 */
export class MqttSession {
  private readonly socket: TLSSocket;
  private readonly clientEnd: Duplex;
  private readonly socketEnd: Duplex;
  private readonly client: MqttClient;
  private silent = false;

  private constructor(private readonly options: SessionOptions) {
    const { host, port, ca, cert, key } = options.connection;
    this.socket = connectTls({ host, port, ca, cert, key, maxVersion: 'TLSv1.2', checkServerIdentity: checkDnsNames });
    this.socket.setNoDelay();
    [this.clientEnd, this.socketEnd] = duplexPair();
    this.plug();
    this.client = this.speakMqtt();
  }

  /** Connects and waits for the CONNACK. @throws the error of the broker or the network, or the signal's reason */
  static async open(options: SessionOptions, signal: AbortSignal): Promise<MqttSession> {
    signal.throwIfAborted();
    const session = new MqttSession(options);
    const giveUp = () => session.socket.destroy(signal.reason);
    signal.addEventListener('abort', giveUp);
    try {
      await session.untilAnswered();
      return session;
    } catch (error) {
      session.release();
      throw error;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  get connected(): boolean {
    return this.client.connected && !this.socket.destroyed;
  }

  /** Subscribes in one packet. @throws Error if the connection ends first */
  async subscribe(topics: readonly string[], qos: 0 | 1): Promise<void> {
    await this.client.subscribeAsync([...topics], { qos });
  }

  /** Publishes at QoS 0, the only QoS that PubSubClient has. A lost message is not repeated. */
  publish(topic: string, payload: string, retain: boolean): void {
    this.client.publish(topic, payload, { qos: 0, retain }, () => {});
  }

  /** Resolves when the connection has ended for any reason. */
  async untilClosed(signal: AbortSignal): Promise<void> {
    if (!this.socket.closed) await once(this.socket, 'close', { signal });
  }

  /** Sends DISCONNECT, so that the broker publishes no last will, and closes the connection. */
  async disconnect(): Promise<void> {
    this.client.end();
    await this.untilClosed(AbortSignal.timeout(GOODBYE_MS)).catch(() => {});
    this.release();
  }

  /** Stops reading, writing and pinging. The broker considers the device connected until the keep-alive expires. */
  goSilent(): void {
    this.silent = true;
    this.socket.unpipe(this.socketEnd);
    this.socketEnd.unpipe(this.socket);
    this.socket.pause();
    this.client.end(true);
  }

  /** Closes the TCP connection, also of a silent session. */
  release(): void {
    this.client.end(true);
    this.socket.destroy();
  }

  /** Connects the client to the socket through a pipe. Without the pipe the socket stays open. */
  private plug(): void {
    const { socket, clientEnd, socketEnd } = this;
    socket.pipe(socketEnd).pipe(socket);
    socket.on('error', (error) => clientEnd.destroy(error));
    socket.on('close', () => clientEnd.destroy());
    clientEnd.on('close', () => {
      if (!this.silent) socket.destroy();
    });
  }

  private speakMqtt(): MqttClient {
    const { clientId, keepaliveSeconds, will } = this.options;
    const client = new MqttClient(() => this.clientEnd, {
      protocolVersion: 4,
      protocolId: 'MQTT',
      clientId,
      clean: true,
      keepalive: keepaliveSeconds,
      connectTimeout: 30_000,
      reconnectPeriod: 0,
      queueQoSZero: false,
      resubscribe: false,
      ...(will && { will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: true } }),
    });
    client.on('error', () => {});
    this.limitPackets(client);
    return client;
  }

  /**
   * PubSubClient drops a PUBLISH that exceeds its buffer, without a callback or a PUBACK. mqtt.js has no setting for
   * that, but it emits each packet before it handles it, and acknowledges only packets with a QoS.
   */
  private limitPackets(client: MqttClient): void {
    const fits = (packet: IPublishPacket) => packetBytes(packet.length ?? 0) <= this.options.packetLimit;
    client.on('packetreceive', (packet) => {
      if (packet.cmd !== 'publish' || fits(packet)) return;
      packet.qos = 0;
      this.options.dropped(packet.topic, packetBytes(packet.length ?? 0));
    });
    client.handleMessage = (packet, done) => {
      if (!fits(packet)) return done();
      this.options.received(packet.topic, Buffer.from(packet.payload)).then(() => done(), done);
    };
  }

  private untilAnswered(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.client.once('connect', () => resolve());
      this.client.once('error', reject);
      this.socket.once('error', reject);
      this.socket.once('close', () => reject(new Error('the broker closed the connection without a CONNACK')));
    });
  }
}
