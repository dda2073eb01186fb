import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { AwsError, type AwsService, arnOf, jsonService, operation, permit, writeWhole } from '../../kernel/index.ts';

export interface Secret {
  readonly arn: string;
  readonly value: string;
}

/** What a template wants generated for a secret. */
export interface SecretGeneration {
  readonly SecretStringTemplate?: string;
  readonly GenerateStringKey?: string;
  readonly PasswordLength?: number;
}

const DEFAULT_PASSWORD_LENGTH = 32;

/** Secrets in one file that only its owner may read. They are made once and keep their value over restarts. */
export class Secrets {
  readonly #file: string;
  readonly #byName: Record<string, Secret>;

  /** @param file need not exist yet; its folder must */
  constructor(file: string) {
    this.#file = file;
    this.#byName = readJson(file);
  }

  /** The secret of a template resource. */
  generate(logicalId: string, generation: SecretGeneration): Secret {
    return this.getOrCreate(logicalId, () => newSecret(generation));
  }

  /** The secret of that name; `create` gives the value of one that does not exist yet. */
  getOrCreate(name: string, create: () => string): Secret {
    const known = this.#byName[name];
    if (known) return known;
    // Like AWS, six random characters end the name, so that grants on a guessed name match nothing.
    const suffix = randomBytes(6).toString('base64url').replace(/[-_]/g, 'x').slice(0, 6);
    const secret = { arn: arnOf('secretsmanager', `secret:${name}-${suffix}`), value: create() };
    this.#byName[name] = secret;
    writeWhole(this.#file, JSON.stringify(this.#byName, null, 2));
    return secret;
  }

  find(arn: string): Secret | undefined {
    return Object.values(this.#byName).find((secret) => secret.arn === arn);
  }
}

/** A random text, or the template's JSON with one under the key that it names. Hexadecimal, so no character is excluded. */
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

/** Secrets Manager: GetSecretValue, by ARN. */
export function secretsManagerService(secrets: Secrets): AwsService {
  const getSecretValue = operation({ SecretId: z.string() }, ({ SecretId: arn }, identity) => {
    permit(identity, 'secretsmanager:GetSecretValue', arn);
    const secret = secrets.find(arn);
    if (!secret) {
      throw new AwsError('ResourceNotFoundException', 400, "Secrets Manager can't find the specified secret.");
    }
    return { ARN: arn, Name: arn.split(':').at(-1)?.slice(0, -7), SecretString: secret.value };
  });
  return jsonService({ 'secretsmanager.GetSecretValue': getSecretValue });
}
