import { type Audit, compilePolicy, type Policy } from '../kernel/index.ts';
import type { Assembly } from './assembly.ts';

/** The roles of the template and their policies. */
export class Roles {
  readonly #policies: ReadonlyMap<string, Policy>;

  /** @throws Error for any policy that cannot be evaluated here, even if no role uses it */
  constructor(assembly: Assembly, audit?: Audit) {
    const documents = (role: string) =>
      assembly
        .ofType('AWS::IAM::Policy')
        .filter(({ properties }) => (properties.Roles as readonly string[]).includes(role))
        .map(({ properties }) => properties.PolicyDocument);
    const roles = assembly.ofType('AWS::IAM::Role').map(({ logicalId }) => logicalId);
    this.#policies = new Map(roles.map((role) => [role, compilePolicy(role, documents(role), audit)]));
  }

  policyOf(roleArn: string): Policy {
    return required(this.#policies.get(roleArn.split('/').at(-1) ?? ''), `role ${roleArn}`);
  }

  /**
   * Checks that a role allows what a service will do with it. On AWS a missing grant shows late and without an error.
   * @throws Error that names the missing grant
   */
  require(who: string, roleArn: unknown, actions: readonly string[], resource: string): void {
    const policy = this.policyOf(String(roleArn));
    const missing = actions.filter((action) => !policy.allows(action, resource));
    if (missing.length === 0) return;
    throw new Error(
      `${who}: its role ${String(roleArn)} may not ${missing.join(', ')} on ${resource}. Grant it in lib/.`,
    );
  }
}

/** @throws Error if the template refers to something that it does not contain */
export function required<T>(found: T | undefined, what: string): T {
  if (found === undefined) throw new Error(`The template names ${what}, which it does not contain.`);
  return found;
}
