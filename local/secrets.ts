import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { AwsError, type AwsRequest, type AwsService, permit } from './aws-service.ts';
import { writeWhole } from './files.ts';
import type { Answer } from './http-server.ts';

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

/** Secrets Manager's GetSecretValue, by ARN. */
export function secretsManagerService(secrets: Secrets): AwsService {
  return {
    async handle(request) {
      const operation = String(request.headers['x-amz-target']);
      if (operation !== 'secretsmanager.GetSecretValue') {
        throw new AwsError(
          'UnknownOperationException',
          400,
          `The local Secrets Manager does not imitate '${operation}'.`,
        );
      }
      return getSecretValue(request, secrets);
    },
  };
}

async function getSecretValue({ body, identity }: AwsRequest, secrets: Secrets): Promise<Answer> {
  const { SecretId: arn } = JSON.parse(Buffer.concat(await body.toArray()).toString()) as { SecretId?: string };
  if (arn === undefined) throw new AwsError('InvalidParameterException', 400, 'SecretId is missing.');
  permit(identity, 'secretsmanager:GetSecretValue', arn);
  const secret = secrets.find(arn);
  if (!secret) {
    throw new AwsError('ResourceNotFoundException', 400, "Secrets Manager can't find the specified secret.");
  }
  return {
    status: 200,
    headers: { 'content-type': 'application/x-amz-json-1.1' },
    body: JSON.stringify({ ARN: arn, Name: arn.split(':').at(-1)?.slice(0, -7), SecretString: secret.value }),
  };
}
