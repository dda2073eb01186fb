import { randomBytes } from 'node:crypto';
import type { Identity } from './aws-service.ts';
import type { Policy } from './policy.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Only roles have one. */
  readonly sessionToken?: string;
}

/** Real tokens have no fixed length; those of Lambda roles are around a thousand characters, which makes URLs long. */
const SESSION_TOKEN_BYTES = 600;
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** Everyone who may sign requests, by access key. */
export class Identities {
  readonly #byAccessKey = new Map<string, { readonly identity: Identity; readonly credentials: Credentials }>();

  /** Issues temporary credentials, as a function gets them for its role. */
  issueRole(name: string, arn: string, policy: Policy): Credentials {
    return this.#add(identityOf(name, arn, policy), {
      ...newKeys('ASIA'),
      sessionToken: randomBytes(SESSION_TOKEN_BYTES).toString('base64'),
    });
  }

  /** Issues keys without a session token. Keys that were given out before are passed in to stay valid. */
  issueUser(name: string, arn: string, policy: Policy, keys: Credentials = newKeys('AKIA')): Credentials {
    return this.#add(identityOf(name, arn, policy), keys);
  }

  find(accessKeyId: string): { readonly identity: Identity; readonly credentials: Credentials } | undefined {
    return this.#byAccessKey.get(accessKeyId);
  }

  #add(identity: Identity, credentials: Credentials): Credentials {
    this.#byAccessKey.set(credentials.accessKeyId, { identity, credentials });
    return credentials;
  }
}

function identityOf(name: string, arn: string, policy: Policy): Identity {
  return { name, arn, allows: (action, resource) => policy.allows(action, resource) };
}

/** Key ids begin with AKIA (long-term) or ASIA (temporary) and have 20 characters; secrets have 40. */
function newKeys(prefix: 'AKIA' | 'ASIA'): Credentials {
  const id = [...randomBytes(16)].map((byte) => BASE32[byte % BASE32.length]).join('');
  return { accessKeyId: prefix + id, secretAccessKey: randomBytes(30).toString('base64') };
}
