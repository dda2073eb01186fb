import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';

const client = new SecretsManagerClient({});
const cache = new Map<string, Promise<string>>();

/** The text of a secret, read once per container. */
export function readSecret(secretArn: string): Promise<string> {
  const cached = cache.get(secretArn);
  if (cached !== undefined) return cached;
  const reading = fetchSecret(secretArn);
  cache.set(secretArn, reading);
  reading.catch(() => cache.delete(secretArn));
  return reading;
}

async function fetchSecret(secretArn: string): Promise<string> {
  const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: secretArn }));
  if (SecretString === undefined) throw new Error(`Secret ${secretArn} holds no text.`);
  return SecretString;
}
