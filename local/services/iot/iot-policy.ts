import type { TLSSocket } from 'node:tls';
import type { Client } from 'aedes';
import type { Policy } from '../../kernel/index.ts';
import { arnOf, type CertificateAuthority, certificateId } from '../../kernel/index.ts';

/** Evaluates the device policy for connections. */
export class ConnectionPermissions {
  readonly #policy: Policy;
  readonly #things = new WeakMap<Client, string>();
  readonly #certificates = new WeakMap<Client, string>();

  readonly #authority: CertificateAuthority;

  /** @param policy the device policy of the template; every device certificate has it */
  constructor(policy: Policy, authority: CertificateAuthority) {
    this.#policy = policy;
    this.#authority = authority;
  }

  /** True unless the certificate of the connection was revoked. */
  isActive(client: Client): boolean {
    return !this.#authority.isRevoked(this.certificateOf(client));
  }

  /** Id of the certificate of the connection, also after it was closed. */
  certificateOf(client: Client): string {
    const known = this.#certificates.get(client);
    if (known !== undefined) return known;
    const id = certificateId((client.conn as TLSSocket).getPeerCertificate().fingerprint256);
    this.#certificates.set(client, id);
    return id;
  }

  /** The thing of the connection: the common name of its certificate, which the local authority signed. */
  thingOf(client: Client): string {
    const thing = this.#things.get(client) ?? (client.conn as TLSSocket).getPeerCertificate().subject?.CN;
    // The name is kept for the last will, which is evaluated when the closed socket no longer has the certificate.
    this.#things.set(client, String(thing));
    return String(thing);
  }

  /** @param resource the last part of the ARN: `client/…`, `topic/…`, `topicfilter/…` */
  allows(client: Client, action: string, resource: string): boolean {
    const context = { 'iot:Connection.Thing.ThingName': this.thingOf(client) };
    return this.#policy.allows(action, arnOf('iot', resource), context);
  }
}
