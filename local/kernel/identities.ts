import { randomBytes } from 'node:crypto';
import type { Identity } from './aws-service.ts';
import type { Policy } from './iam-policy.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Only credentials of a role have one. */
  readonly sessionToken?: string;
}

/**
 * Real tokens vary in length. Those of Lambda roles have about a thousand characters, which makes presigned URLs long.
 */
const SESSION_TOKEN_BYTES = 600;

/** All identities that can sign requests, by access key. */
export class Identities {
  readonly #byAccessKey = new Map<string, { readonly identity: Identity; readonly credentials: Credentials }>();

  /** Issues temporary credentials like those that a Lambda function gets for its role. */
  issueRole(name: string, arn: string, policy: Policy): Credentials {
    const sessionToken = randomBytes(SESSION_TOKEN_BYTES).toString('base64');
    return this.issueUser(name, arn, policy, { ...newKeys('ASIA'), sessionToken });
  }

  /** Issues keys without a session token. Pass the keys of an earlier start to keep them valid. */
  issueUser(name: string, arn: string, { allows }: Policy, credentials: Credentials = newKeys('AKIA')): Credentials {
    this.#byAccessKey.set(credentials.accessKeyId, { identity: { name, arn, allows }, credentials });
    return credentials;
  }

  find(accessKeyId: string): { readonly identity: Identity; readonly credentials: Credentials } | undefined {
    return this.#byAccessKey.get(accessKeyId);
  }
}

/** Key ids have 20 characters and begin with AKIA (long-term) or ASIA (temporary); secrets have 40 characters. */
export function newKeys(prefix: 'AKIA' | 'ASIA'): Credentials {
  const accessKeyId = prefix + randomBytes(8).toString('hex').toUpperCase();
  return { accessKeyId, secretAccessKey: randomBytes(30).toString('base64url') };
}
