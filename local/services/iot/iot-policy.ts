import type { TLSSocket } from 'node:tls';
import type { Client } from 'aedes';
import type { Policy } from '../../kernel/index.ts';
import { arnOf, type CertificateAuthority, certificateId } from '../../kernel/index.ts';

/** What the devices' IoT policy lets each connection do. */
export class ConnectionPermissions {
  readonly #policy: Policy;
  readonly #things = new WeakMap<Client, string>();

  readonly #authority: CertificateAuthority;

  /** @param policy the template's IoT policy, which is attached to every device's certificate */
  constructor(policy: Policy, authority: CertificateAuthority) {
    this.#policy = policy;
    this.#authority = authority;
  }

  /** Whether its certificate has not been revoked. */
  isActive({ conn }: Client): boolean {
    return !this.#authority.isRevoked(certificateId((conn as TLSSocket).getPeerCertificate().fingerprint256));
  }

  /** The thing that the connection's certificate belongs to: its common name, which the local authority vouches for. */
  thingOf(client: Client): string {
    const thing = this.#things.get(client) ?? (client.conn as TLSSocket).getPeerCertificate().subject?.CN;
    // Kept, since a last will is judged after its socket has forgotten the certificate.
    this.#things.set(client, String(thing));
    return String(thing);
  }

  /** @param resource without the ARN's first part: `client/…`, `topic/…`, `topicfilter/…` */
  allows(client: Client, action: string, resource: string): boolean {
    const context = { 'iot:Connection.Thing.ThingName': this.thingOf(client) };
    return this.#policy.allows(action, arnOf('iot', resource), context);
  }
}
