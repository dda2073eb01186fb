import type { PeerCertificate, TLSSocket } from 'node:tls';
import type { Client } from 'aedes';
import type { Policy } from '../../kernel/index.ts';
import { arnOf, type CertificateAuthority, certificateId } from '../../kernel/index.ts';

interface Peer {
  readonly certificateId: string;
  readonly thing: string;
}

/** Evaluates the device policy for connections. */
export class ConnectionPermissions {
  readonly #policy: Policy;
  readonly #authority: CertificateAuthority;
  readonly #peers = new WeakMap<object, Peer>();

  /** @param policy the device policy of the template; every device certificate has it */
  constructor(policy: Policy, authority: CertificateAuthority) {
    this.#policy = policy;
    this.#authority = authority;
  }

  /**
   * Keeps the certificate of a new connection. A socket has none any more once it is closed, and a client may close
   * it while its CONNECT is still handled.
   * @returns false if the client has already gone
   */
  admit(socket: TLSSocket): boolean {
    // null once the socket is closed, which Node's types leave out
    const certificate = socket.getPeerCertificate() as PeerCertificate | null;
    if (certificate === null) return false;
    const thing = String(certificate.subject.CN);
    this.#peers.set(socket, { certificateId: certificateId(certificate.fingerprint256), thing });
    return true;
  }

  /** True unless the certificate of the connection was revoked. */
  isActive(client: Client): boolean {
    return !this.#authority.isRevoked(this.certificateOf(client));
  }

  /** Id of the certificate of the connection, also after it was closed. */
  certificateOf(client: Client): string {
    return this.#peerOf(client).certificateId;
  }

  /**
   * The thing of the connection: the common name of its certificate, which the local authority signed; also after the
   * connection was closed, when its last will is evaluated.
   */
  thingOf(client: Client): string {
    return this.#peerOf(client).thing;
  }

  #peerOf(client: Client): Peer {
    const peer = this.#peers.get(client.conn);
    if (peer === undefined) throw new Error('a connection was not admitted before its first message');
    return peer;
  }

  /** @param resource the last part of the ARN: `client/…`, `topic/…`, `topicfilter/…` */
  allows(client: Client, action: string, resource: string): boolean {
    const context = { 'iot:Connection.Thing.ThingName': this.thingOf(client) };
    return this.#policy.allows(action, arnOf('iot', resource), context);
  }
}
