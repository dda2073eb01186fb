import type { TLSSocket } from 'node:tls';
import type { Client } from 'aedes';
import type { Policy } from './policy.ts';

/** What the devices' IoT policy lets each connection do. */
export class ConnectionPermissions {
  readonly #policy: Policy;
  readonly #arnPrefix: string;
  readonly #things = new WeakMap<Client, string>();

  /**
   * @param policy the template's IoT policy, which is attached to every device's certificate
   * @param arnPrefix `arn:aws:iot:{region}:{account}:`
   */
  constructor(policy: Policy, arnPrefix: string) {
    this.#policy = policy;
    this.#arnPrefix = arnPrefix;
  }

  /** The thing that the connection's certificate belongs to: its common name, which the local authority vouches for. */
  thingOf(client: Client): string {
    const known = this.#things.get(client);
    if (known !== undefined) return known;
    const { CN } = (client.conn as TLSSocket).getPeerCertificate().subject ?? {};
    const thing = typeof CN === 'string' ? CN : '';
    // Kept, since a last will is judged after its socket has forgotten the certificate.
    this.#things.set(client, thing);
    return thing;
  }

  /** @param resource without the ARN's first part: `client/…`, `topic/…`, `topicfilter/…` */
  allows(client: Client, action: string, resource: string): boolean {
    return this.#policy.allows(action, this.#arnPrefix + resource, {
      'iot:Connection.Thing.ThingName': this.thingOf(client),
      'iot:ClientId': client.id,
    });
  }

  /** A retained publish needs a permission of its own besides iot:Publish. */
  allowsPublish(client: Client, topic: string, retain: boolean): boolean {
    const resource = `topic/${topic}`;
    return (
      this.allows(client, 'iot:Publish', resource) && (!retain || this.allows(client, 'iot:RetainPublish', resource))
    );
  }
}
