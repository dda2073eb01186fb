import { once } from 'node:events';
import type { Aedes, Client } from 'aedes';
import { writeToStream } from 'mqtt-packet';
import type { ConnectionPermissions } from './iot-policy.ts';

export type DirectMessageResult = 'delivered' | 'not-connected' | 'not-permitted' | 'unconfirmed';

export interface DirectMessage {
  readonly clientId: string;
  readonly topic: string;
  readonly payload: Buffer;
  /** Maximum wait for the PUBACK. */
  readonly confirmWithinMs: number;
}

export interface Subscription {
  readonly topicFilter: string;
  readonly qos: number;
}

type ConnectedClient = Client & {
  _nextId: number;
  readonly subscriptions: Readonly<Record<string, { readonly qos: number }>>;
};

/** Parts of aedes 1.2 that are missing in its type declarations. */
interface AedesInternals {
  readonly clients: Readonly<Record<string, ConnectedClient | undefined>>;
  readonly persistence: {
    outgoingClearMessageId(client: Client, packet: { readonly messageId: number }): Promise<unknown>;
  };
}

const MAX_MESSAGE_ID = 65_535;

/** The broker finishes a CONNECT a moment after it has sent the CONNACK, so a client can be ahead of it. */
async function isReady(client: Client, withinMs: number): Promise<boolean> {
  if (!client.connecting) return client.connected;
  return once(client, 'connected', { signal: AbortSignal.timeout(withinMs) }).then(
    () => true,
    () => false,
  );
}

/**
 * Messages to one client, whether it subscribed to the topic or not. They bypass the queue of aedes, which does not
 * report which message a client acknowledged if the session is clean, and the sessions of devices are.
 */
export class DirectMessages {
  readonly #clients: AedesInternals['clients'];
  readonly #permissions: ConnectionPermissions;
  readonly #awaited = new WeakMap<Client, Map<number, () => void>>();

  constructor(aedes: Aedes, permissions: ConnectionPermissions) {
    const { clients, persistence } = aedes as unknown as AedesInternals;
    this.#clients = clients;
    this.#permissions = permissions;
    const clear = persistence.outgoingClearMessageId.bind(persistence);
    persistence.outgoingClearMessageId = (client, packet) => {
      this.#awaited.get(client)?.get(packet.messageId)?.();
      return clear(client, packet);
    };
  }

  async send({ clientId, topic, payload, confirmWithinMs }: DirectMessage): Promise<DirectMessageResult> {
    const client = this.#clients[clientId];
    if (client === undefined || client.closed || !(await isReady(client, confirmWithinMs))) return 'not-connected';
    if (!this.#permissions.allows(client, 'iot:Receive', `topic/${topic}`)) return 'not-permitted';
    const messageId = client._nextId;
    client._nextId = messageId >= MAX_MESSAGE_ID ? 1 : messageId + 1;
    writeToStream({ cmd: 'publish', topic, payload, qos: 1, messageId, retain: false, dup: false }, client.conn);
    return (await this.#acknowledged(client, messageId, confirmWithinMs)) ? 'delivered' : 'unconfirmed';
  }

  subscriptionsOf(clientId: string): Subscription[] | undefined {
    const client = this.#clients[clientId];
    if (client === undefined || !client.connected || client.closed) return undefined;
    return Object.entries(client.subscriptions).map(([topicFilter, { qos }]) => ({ topicFilter, qos }));
  }

  /** @param beforeClose called with the client if it is connected */
  disconnect(clientId: string, beforeClose: (client: Client) => void): boolean {
    const client = this.#clients[clientId];
    if (client === undefined) return false;
    beforeClose(client);
    client.close();
    return true;
  }

  #acknowledged(client: Client, messageId: number, withinMs: number): Promise<boolean> {
    const awaited = this.#awaited.get(client) ?? new Map<number, () => void>();
    this.#awaited.set(client, awaited);
    return new Promise((resolve) => {
      const timer = setTimeout(() => finish(false), withinMs);
      const finish = (acknowledged: boolean) => {
        clearTimeout(timer);
        awaited.delete(messageId);
        resolve(acknowledged);
      };
      awaited.set(messageId, () => finish(true));
    });
  }
}
