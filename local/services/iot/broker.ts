import { readFileSync } from 'node:fs';
import { createServer, type TLSSocket } from 'node:tls';
import { Aedes, type AuthenticateError, type Client } from 'aedes';
import type { CertificateAuthority, Policy } from '../../kernel/index.ts';
import { type Address, listen } from '../../kernel/index.ts';
import { type Connection, Connections } from './connections.ts';
import { type DirectMessage, type DirectMessageResult, DirectMessages, type Subscription } from './direct-messages.ts';
import { ConnectionPermissions } from './iot-policy.ts';

export interface BrokerOptions extends Address {
  readonly authority: CertificateAuthority;
  /** The device policy of the template; every device certificate has it. */
  readonly policy: Policy;
  readonly onMessage: (message: BrokerMessage) => void;
  readonly log: (line: string) => void;
  /** Milliseconds since the epoch. @default Date.now */
  readonly clock?: () => number;
}

export interface BrokerMessage {
  readonly topic: string;
  readonly payload: Buffer;
  /** `n/a` for a message that was published over HTTPS. */
  readonly clientId: string;
  /** Id of the certificate of the client; undefined for a message without one. */
  readonly principal?: string | undefined;
  readonly receivedAt: number;
}

/** The broker as the rest of the runtime uses it. */
export interface Broker {
  readonly port: number;
  /** Publishes at QoS 1. */
  publish(topic: string, payload: Buffer): Promise<void>;
  /** Sends to one client, whether it subscribed to the topic or not. */
  sendDirect(message: DirectMessage): Promise<DirectMessageResult>;
  /** The topic filters of a client with their QoS; undefined if the client is not connected. */
  subscriptionsOf(clientId: string): Subscription[] | undefined;
  /** The connection of a client; undefined if it has not been connected in the last 30 minutes. */
  connectionOf(clientId: string): Connection | undefined;
  /** Closes the connection of a client and publishes its last will. @returns false if the client is not connected */
  disconnect(clientId: string): boolean;
  close(): Promise<void>;
}

/**
 * Starts an MQTT broker over TLS with client certificates. The policy document of the template lets a certificate act
 * only as its own device. As on AWS, a client is disconnected when it does something that the policy does not allow.
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { authority, log, clock = Date.now } = options;
  const aedes = await Aedes.createBroker();
  const permissions = new ConnectionPermissions(options.policy, authority);
  const directMessages = new DirectMessages(aedes, permissions);
  let closing = false;
  const connections = new Connections(aedes, clock, (clientId) => {
    if (!closing) options.onMessage(disconnectedEvent(clientId, clock()));
  });
  restrict(aedes, permissions, connections);
  refuseOtherVersions(aedes, permissions, log);
  aedes.on('publish', ({ topic, payload }, client) => {
    // Last wills during shutdown are no information about the devices.
    if (topic.startsWith('$') || closing) return;
    const clientId = client?.id ?? 'n/a';
    const principal = client ? permissions.certificateOf(client) : undefined;
    options.onMessage({ topic, payload: Buffer.from(payload), clientId, principal, receivedAt: clock() });
  });
  aedes.on('clientError', (client, error) => log(`mqtt ${client.id}: ${error.message}`));
  aedes.on('connectionError', (client, error) => log(`mqtt ${client.id}: ${error.message}`));

  const { cert, key } = await authority.issueServer();
  const ca = readFileSync(authority.caFile);
  const server = createServer({ cert, key, ca, requestCert: true, rejectUnauthorized: true }, (socket) => {
    if (permissions.admit(socket)) aedes.handle(socket);
    else socket.destroy();
  });
  server.on('tlsClientError', (error) => log(`mqtt TLS: ${error.message}`));
  const port = await listen(server, options);
  const sockets = new Set<TLSSocket>();
  server.on('secureConnection', (socket) => {
    sockets.add(socket.once('close', () => sockets.delete(socket)));
  });

  return {
    port,
    publish: (topic, payload) =>
      new Promise((resolve, reject) =>
        aedes.publish({ cmd: 'publish', topic, payload, qos: 1, retain: false, dup: false }, (error) =>
          error ? reject(error) : resolve(),
        ),
      ),
    sendDirect: (message) => directMessages.send(message),
    subscriptionsOf: (clientId) => directMessages.subscriptionsOf(clientId),
    connectionOf: (clientId) => connections.of(clientId),
    disconnect: (clientId) =>
      directMessages.disconnect(clientId, (client) => connections.endsBy(client, 'API_INITIATED_DISCONNECT')),
    async close() {
      closing = true;
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => aedes.close(resolve));
      await closed;
    },
  };
}

/**
 * The lifecycle event of a client that was disconnected for its policy. AWS IoT publishes one for every disconnection;
 * the rules of the template take no others.
 */
function disconnectedEvent(clientId: string, at: number): BrokerMessage {
  const event = {
    clientId,
    timestamp: at,
    eventType: 'disconnected',
    clientInitiatedDisconnect: false,
    disconnectReason: 'AUTH_ERROR',
    versionNumber: 0,
  };
  const topic = `$aws/events/presence/disconnected/${clientId}`;
  return { topic, payload: Buffer.from(JSON.stringify(event)), clientId: 'n/a', receivedAt: at };
}

/** How a CONNECT with another version of MQTT is refused. */
interface OtherVersion {
  readonly name: string;
  readonly connack: Buffer;
  readonly advice: string;
}

const OTHER_VERSIONS = new Map<number | undefined, OtherVersion>([
  // aedes would accept it. Return code 1 (unacceptable protocol version).
  [3, { name: '3.1', connack: Buffer.from([0x20, 0x02, 0x00, 0x01]), advice: 'AWS IoT has no MQTT 3.1 either' }],
  // aedes would answer in the form of MQTT 3.1.1, which such a client cannot decode. No session, reason code 0x84
  // (unsupported protocol version), no properties.
  [5, { name: '5', connack: Buffer.from([0x20, 0x03, 0x00, 0x84, 0x00]), advice: 'AWS IoT speaks both' }],
]);

/** Refuses other versions than MQTT 3.1.1, each with an answer that its clients can decode. */
function refuseOtherVersions(aedes: Aedes, permissions: ConnectionPermissions, log: (line: string) => void): void {
  aedes.preConnect = (client, { protocolVersion }, done) => {
    const other = OTHER_VERSIONS.get(protocolVersion);
    if (other === undefined) return done(null, true);
    const { name, connack, advice } = other;
    log(
      `mqtt ${permissions.thingOf(client)}: refused, because it asks for MQTT ${name}; this broker speaks MQTT 3.1.1, so set that version in the client (${advice})`,
    );
    client.conn.end(connack);
    return done(null, false);
  };
}

/** Authorizes by the policy. An error closes the connection, as on AWS. */
function restrict(aedes: Aedes, permissions: ConnectionPermissions, connections: Connections): void {
  const refusal = (client: Client, what: string) => new Error(`${permissions.thingOf(client)} may not ${what}`);
  /** Not for QoS 2, which no policy allows. */
  const byPolicy = (client: Client, what: string) => {
    connections.endsBy(client, 'AUTH_ERROR');
    return refusal(client, what);
  };

  aedes.authenticate = (client, _username, _password, done) => {
    const isAllowed = permissions.isActive(client) && permissions.allows(client, 'iot:Connect', `client/${client.id}`);
    if (isAllowed) return done(null, true);
    return done(
      Object.assign(refusal(client, `connect as ${client.id}`), { returnCode: 5 }) as AuthenticateError,
      false,
    );
  };
  aedes.authorizePublish = (client, { topic, retain, qos }, done) => {
    if (client === null) return done(null);
    if (qos === 2) return done(refusal(client, 'use QoS 2: AWS IoT has none'));
    const actions = ['iot:Publish', ...(retain ? ['iot:RetainPublish'] : [])];
    if (actions.every((action) => permissions.allows(client, action, `topic/${topic}`))) return done(null);
    return done(byPolicy(client, `publish ${retain ? 'retained ' : ''}to ${topic}`));
  };
  aedes.authorizeSubscribe = (client, subscription, done) => {
    const { topic, qos } = subscription;
    if (qos === 2) return done(refusal(client, 'use QoS 2: AWS IoT has none'));
    if (permissions.allows(client, 'iot:Subscribe', `topicfilter/${topic}`)) return done(null, subscription);
    return done(byPolicy(client, `subscribe to ${topic}`));
  };
  aedes.authorizeForward = (client, packet) =>
    permissions.allows(client, 'iot:Receive', `topic/${packet.topic}`) ? packet : null;
}
