import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { AwsError, type AwsService, permit } from './aws-service.ts';
import { writeWhole } from './files.ts';
import { jsonService, operation } from './json-service.ts';

export interface Secret {
  readonly arn: string;
  readonly value: string;
}

/** Secrets in one file that only its owner may read. They are made once and keep their value over restarts. */
export class Secrets {
  readonly #file: string;
  readonly #arnPrefix: string;
  readonly #byLogicalId: Record<string, Secret>;

  /** @param file need not exist yet; its folder must */
  constructor(file: string, { region, accountId }: { readonly region: string; readonly accountId: string }) {
    this.#file = file;
    this.#arnPrefix = `arn:aws:secretsmanager:${region}:${accountId}:secret:`;
    this.#byLogicalId = readJson(file);
  }

  /** The secret of a template resource; `create` gives the value of one that does not exist yet. */
  getOrCreate(logicalId: string, create: () => string): Secret {
    const known = this.#byLogicalId[logicalId];
    if (known) return known;
    // Like AWS, six random characters end the name, so that grants on a guessed name match nothing.
    const suffix = randomBytes(6).toString('base64url').replace(/[-_]/g, 'x').slice(0, 6);
    const secret = { arn: `${this.#arnPrefix}${logicalId}-${suffix}`, value: create() };
    this.#byLogicalId[logicalId] = secret;
    writeWhole(this.#file, JSON.stringify(this.#byLogicalId, null, 2));
    return secret;
  }

  find(arn: string): Secret | undefined {
    return Object.values(this.#byLogicalId).find((secret) => secret.arn === arn);
  }
}

function readJson(file: string): Record<string, Secret> {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Record<string, Secret>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new Error(
      `The secrets in ${file} cannot be read. Repair the file, or remove it together with the database.`,
      {
        cause: error,
      },
    );
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
