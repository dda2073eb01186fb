import type { Aedes, Client } from 'aedes';

/** Why a client was disconnected, as AWS IoT writes it ("Lifecycle events", IoT developer guide). */
export type DisconnectReason =
  | 'AUTH_ERROR'
  | 'API_INITIATED_DISCONNECT'
  | 'CLIENT_INITIATED_DISCONNECT'
  | 'CONNECTION_LOST'
  | 'MQTT_KEEP_ALIVE_TIMEOUT';

/** The answer of GetConnection. */
export interface Connection {
  readonly connected: boolean;
  readonly connectedSince?: number;
  readonly disconnectedSince?: number;
  readonly disconnectReason?: DisconnectReason;
}

/** AWS IoT answers for this long about a client that has disconnected. */
const KEPT_MS = 30 * 60_000;

/** The connection of each client, and why it ended. */
export class Connections {
  readonly #clock: () => number;
  readonly #known = new Map<string, Connection>();
  readonly #reasons = new WeakMap<Client, DisconnectReason>();

  /** @param onRefused called when a client was disconnected for something that its policy does not allow */
  constructor(aedes: Aedes, clock: () => number, onRefused: (clientId: string) => void) {
    this.#clock = clock;
    aedes.on('client', ({ id }) => this.#known.set(id, { connected: true, connectedSince: clock() }));
    aedes.on('keepaliveTimeout', (client) => this.endsBy(client, 'MQTT_KEEP_ALIVE_TIMEOUT'));
    aedes.on('clientDisconnect', (client) => {
      const disconnectReason = this.#reasons.get(client) ?? unstated(client);
      this.#known.set(client.id, { connected: false, disconnectedSince: clock(), disconnectReason });
      if (disconnectReason === 'AUTH_ERROR') onRefused(client.id);
    });
  }

  /** Notes why the connection of a client is about to end. The first reason counts. */
  endsBy(client: Client, reason: DisconnectReason): void {
    if (!this.#reasons.has(client) && !client.closed) this.#reasons.set(client, reason);
  }

  /** Undefined if the client has not been connected in the last 30 minutes. */
  of(clientId: string): Connection | undefined {
    const connection = this.#known.get(clientId);
    const endedAt = connection?.disconnectedSince ?? Number.POSITIVE_INFINITY;
    return endedAt + KEPT_MS < this.#clock() ? undefined : connection;
  }
}

/** aedes 1.2 sets `_disconnected` when the client sent a DISCONNECT; its type declarations lack it. */
const unstated = (client: Client & { readonly _disconnected?: boolean }): DisconnectReason =>
  client._disconnected ? 'CLIENT_INITIATED_DISCONNECT' : 'CONNECTION_LOST';
