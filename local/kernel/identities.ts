import { randomBytes } from 'node:crypto';
import type { Identity } from './aws-service.ts';
import type { Policy } from './iam-policy.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Only roles have one. */
  readonly sessionToken?: string;
}

/** Real tokens have no fixed length; those of Lambda roles are around a thousand characters, which makes URLs long. */
const SESSION_TOKEN_BYTES = 600;

/** Everyone who may sign requests, by access key. */
export class Identities {
  readonly #byAccessKey = new Map<string, { readonly identity: Identity; readonly credentials: Credentials }>();

  /** Issues temporary credentials, as a function gets them for its role. */
  issueRole(name: string, arn: string, policy: Policy): Credentials {
    const sessionToken = randomBytes(SESSION_TOKEN_BYTES).toString('base64');
    return this.issueUser(name, arn, policy, { ...newKeys('ASIA'), sessionToken });
  }

  /** Issues keys without a session token. Keys that were given out before are passed in to stay valid. */
  issueUser(name: string, arn: string, { allows }: Policy, credentials: Credentials = newKeys('AKIA')): Credentials {
    this.#byAccessKey.set(credentials.accessKeyId, { identity: { name, arn, allows }, credentials });
    return credentials;
  }

  find(accessKeyId: string): { readonly identity: Identity; readonly credentials: Credentials } | undefined {
    return this.#byAccessKey.get(accessKeyId);
  }
}

/** Key ids begin with AKIA (long-term) or ASIA (temporary) and have 20 characters; secrets have 40. */
export function newKeys(prefix: 'AKIA' | 'ASIA'): Credentials {
  const accessKeyId = prefix + randomBytes(8).toString('hex').toUpperCase();
  return { accessKeyId, secretAccessKey: randomBytes(30).toString('base64url') };
}
