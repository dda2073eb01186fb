import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { Aedes, type AuthenticateError, type Client } from 'aedes';
import type { CertificateAuthority } from './certificates.ts';
import type { Policy } from './policy.ts';

export interface BrokerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly authority: CertificateAuthority;
  /** The IoT policy of the template, attached to every device's certificate. */
  readonly policy: Policy;
  /** `arn:aws:iot:{region}:{account}:` */
  readonly arnPrefix: string;
  readonly onMessage: (message: BrokerMessage) => void;
  readonly log: (line: string) => void;
}

export interface BrokerMessage {
  readonly topic: string;
  readonly payload: Buffer;
  /** `n/a` for what came over HTTPS. */
  readonly clientId: string;
  readonly receivedAt: number;
}

export type DirectMessageResult = 'delivered' | 'not-connected' | 'not-permitted' | 'unconfirmed';

/** What the rest of the runtime needs of the broker. */
export interface Broker {
  readonly port: number;
  publish(topic: string, payload: Buffer, qos: 0 | 1): Promise<void>;
  /** Sends to one client, subscribed or not, and waits for its PUBACK. */
  sendDirect(clientId: string, topic: string, payload: Buffer, timeoutMs: number): Promise<DirectMessageResult>;
  close(): Promise<void>;
}

/**
 * MQTT over TLS with client certificates. A certificate acts only as its own device, by the very policy document of the
 * template; as on AWS, a client that does what its policy does not allow is disconnected.
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { authority, log } = options;
  const aedes = await Aedes.createBroker();
  restrict(aedes, options);
  aedes.on('publish', ({ topic, payload }, client) => {
    if (topic.startsWith('$')) return;
    const clientId = client?.id ?? 'n/a';
    options.onMessage({ topic, payload: Buffer.from(payload), clientId, receivedAt: Date.now() });
  });
  aedes.on('clientError', (client, error) => log(`mqtt ${client.id}: ${error.message}`));
  aedes.on('connectionError', (client, error) => log(`mqtt ${client.id}: ${error.message}`));

  const { cert, key } = await authority.issueServer([]);
  const ca = readFileSync(authority.caFile);
  const server = createServer({ cert, key, ca, requestCert: true, rejectUnauthorized: true }, aedes.handle);
  server.on('tlsClientError', (error) => log(`mqtt TLS: ${error.message}`));
  await new Promise<void>((resolve, reject) =>
    server.once('error', reject).listen(options.port, options.host, resolve),
  );
  const sockets = new Set<TLSSocket>();
  server.on('secureConnection', (socket) => {
    sockets.add(socket.once('close', () => sockets.delete(socket)));
  });

  return {
    port: (server.address() as AddressInfo).port,
    publish: (topic, payload, qos) =>
      new Promise((resolve, reject) =>
        aedes.publish({ cmd: 'publish', topic, payload, qos, retain: false, dup: false }, (error) =>
          error ? reject(error) : resolve(),
        ),
      ),
    sendDirect: (clientId, topic, payload, timeoutMs) =>
      sendDirect(aedes, options, { clientId, topic, payload, timeoutMs }),
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => aedes.close(resolve));
      await closed;
    },
  };
}

/** The thing that a connection's certificate belongs to. */
function thingOf(client: Client): string {
  const { CN } = (client.conn as TLSSocket).getPeerCertificate().subject ?? {};
  return typeof CN === 'string' ? CN : '';
}

function restrict(aedes: Aedes, { policy, arnPrefix }: BrokerOptions): void {
  const things = new WeakMap<Client, string>();
  const allows = (client: Client, action: string, resource: string) =>
    policy.allows(action, arnPrefix + resource, { 'iot:Connection.Thing.ThingName': things.get(client) ?? '' });
  const refusal = (client: Client, what: string) => new Error(`${things.get(client)} may not ${what}`);

  aedes.authenticate = (client, _username, _password, done) => {
    things.set(client, thingOf(client));
    if (allows(client, 'iot:Connect', `client/${client.id}`)) done(null, true);
    else done(Object.assign(refusal(client, `connect as ${client.id}`), { returnCode: 5 }) as AuthenticateError, false);
  };
  aedes.authorizePublish = (client, { topic, retain }, done) => {
    if (client === null) return done(null);
    const permitted =
      allows(client, 'iot:Publish', `topic/${topic}`) &&
      (!retain || allows(client, 'iot:RetainPublish', `topic/${topic}`));
    return done(permitted ? null : refusal(client, `publish ${retain ? 'retained ' : ''}to ${topic}`));
  };
  aedes.authorizeSubscribe = (client, subscription, done) => {
    if (allows(client, 'iot:Subscribe', `topicfilter/${subscription.topic}`)) done(null, subscription);
    else done(refusal(client, `subscribe to ${subscription.topic}`));
  };
  aedes.authorizeForward = (client, packet) => (allows(client, 'iot:Receive', `topic/${packet.topic}`) ? packet : null);
}

interface DirectMessage {
  readonly clientId: string;
  readonly topic: string;
  readonly payload: Buffer;
  readonly timeoutMs: number;
}

async function sendDirect(
  aedes: Aedes,
  { policy, arnPrefix }: BrokerOptions,
  { clientId, topic, payload, timeoutMs }: DirectMessage,
): Promise<DirectMessageResult> {
  const client = (aedes as unknown as { clients: Record<string, Client | undefined> }).clients[clientId];
  if (client === undefined || client.closed) return 'not-connected';
  const thing = { 'iot:Connection.Thing.ThingName': thingOf(client) };
  if (!policy.allows('iot:Receive', `${arnPrefix}topic/${topic}`, thing)) return 'not-permitted';
  return new Promise((resolve) => {
    const finish = (result: DirectMessageResult) => {
      clearTimeout(timer);
      aedes.off('ack', onAck);
      resolve(result);
    };
    const onAck = (packet: { topic?: string } | undefined, from: Client) => {
      if (from === client && packet?.topic === topic) finish('delivered');
    };
    const timer = setTimeout(() => finish('unconfirmed'), timeoutMs);
    aedes.on('ack', onAck as never);
    client.publish({ cmd: 'publish', topic, payload, qos: 1, retain: false, dup: false }, () => {});
  });
}
