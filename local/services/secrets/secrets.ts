import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import {
  AwsError,
  type AwsService,
  arnOf,
  authorize,
  jsonService,
  operation,
  writeFileAtomically,
} from '../../kernel/index.ts';

export interface Secret {
  readonly arn: string;
  readonly value: string;
}

/** How a template wants a secret to be generated. */
export interface SecretGeneration {
  readonly SecretStringTemplate?: string;
  readonly GenerateStringKey?: string;
  readonly PasswordLength?: number;
}

const DEFAULT_PASSWORD_LENGTH = 32;

/** Secrets in one file that only its owner may read. They keep their values after a restart. */
export class Secrets {
  readonly #file: string;
  readonly #byName: Record<string, Secret>;

  /** @param file may be missing, but its folder must exist */
  constructor(file: string) {
    this.#file = file;
    this.#byName = readJson(file);
  }

  /** Returns the secret of a template resource, and generates it if there is none. */
  generate(logicalId: string, generation: SecretGeneration): Secret {
    return this.getOrCreate(logicalId, () => newSecret(generation));
  }

  /** Returns the secret with that name, and creates it with the value of `create` if there is none. */
  getOrCreate(name: string, create: () => string): Secret {
    const known = this.#byName[name];
    if (known) return known;
    // The name ends in six random characters as on AWS, so that a grant on a guessed ARN matches nothing.
    const suffix = randomBytes(6).toString('base64url').replace(/[-_]/g, 'x').slice(0, 6);
    const secret = { arn: arnOf('secretsmanager', `secret:${name}-${suffix}`), value: create() };
    this.#byName[name] = secret;
    writeFileAtomically(this.#file, JSON.stringify(this.#byName, null, 2));
    return secret;
  }

  find(arn: string): Secret | undefined {
    return Object.values(this.#byName).find((secret) => secret.arn === arn);
  }
}

/**
 * A random text, or the template's JSON with a random text under the key that it names. Hexadecimal digits are never
 * excluded.
 */
function newSecret({ SecretStringTemplate, GenerateStringKey, PasswordLength }: SecretGeneration): string {
  const length = PasswordLength ?? DEFAULT_PASSWORD_LENGTH;
  const password = randomBytes(length).toString('hex').slice(0, length);
  if (SecretStringTemplate === undefined) return password;
  return JSON.stringify({ ...JSON.parse(SecretStringTemplate), [GenerateStringKey ?? 'password']: password });
}

function readJson(file: string): Record<string, Secret> {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Record<string, Secret>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    const message = `The secrets in ${file} cannot be read. Repair the file, or remove it together with the database.`;
    throw new Error(message, { cause: error });
  }
}

/** Secrets Manager: GetSecretValue by ARN. */
export function secretsManagerService(secrets: Secrets): AwsService {
  const getSecretValue = operation({ SecretId: z.string() }, ({ SecretId: arn }, identity) => {
    authorize(identity, 'secretsmanager:GetSecretValue', arn);
    const secret = secrets.find(arn);
    if (!secret) {
      throw new AwsError('ResourceNotFoundException', 400, "Secrets Manager can't find the specified secret.");
    }
    return { ARN: arn, Name: arn.split(':').at(-1)?.slice(0, -7), SecretString: secret.value };
  });
  return jsonService({ 'secretsmanager.GetSecretValue': getSecretValue });
}
