import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetSecretValueCommand, ListSecretsCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Secrets, secretsManagerService } from '../../../../local/services/secrets/secrets.ts';
import { allow, startEndpoints, type TestEndpoints } from '../../../support/local/aws-endpoints.ts';

let folder: string;
let file: string;
let secrets: Secrets;
let endpoints: TestEndpoints;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'paku-ota-secrets-'));
  file = join(folder, 'secrets.json');
  secrets = new Secrets(file);
  endpoints = await startEndpoints({ secretsmanager: secretsManagerService(secrets) });
});

afterEach(async () => {
  await endpoints.aws.close();
  rmSync(folder, { recursive: true });
});

it('a secret keeps its name and value after a restart, in a file that only its owner may read', () => {
  const made = secrets.getOrCreate('LinkSecret', () => 'value');
  const again = new Secrets(file).getOrCreate('LinkSecret', () => 'another');
  expect(again).toEqual(made);
  expect(made.arn).toMatch(/^arn:aws:secretsmanager:eu-west-1:000000000000:secret:LinkSecret-\w{6}$/);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

it('a damaged file is an error that names the file, and no secret is generated', () => {
  writeFileSync(file, '{"cut');
  expect(() => new Secrets(file)).toThrow(file);
});

it('a role with the permission reads the value by ARN, and any other role is refused', async () => {
  const { arn } = secrets.getOrCreate('LinkSecret', () => 'value');
  const other = secrets.getOrCreate('Other', () => 'other').arn;
  const client = new SecretsManagerClient(endpoints.role(allow('secretsmanager:GetSecretValue', arn)));
  expect(await client.send(new GetSecretValueCommand({ SecretId: arn }))).toMatchObject({
    ARN: arn,
    SecretString: 'value',
  });
  await expect(client.send(new GetSecretValueCommand({ SecretId: other }))).rejects.toMatchObject({
    name: 'AccessDeniedException',
    message: expect.stringContaining(`not authorized to perform: secretsmanager:GetSecretValue on resource: ${other}`),
  });
});

it('a secret that does not exist, and any other operation, are errors', async () => {
  const client = new SecretsManagerClient(endpoints.operator);
  await expect(client.send(new GetSecretValueCommand({ SecretId: 'arn:nothing' }))).rejects.toMatchObject({
    name: 'ResourceNotFoundException',
  });
  await expect(client.send(new ListSecretsCommand({}))).rejects.toThrow(
    "'secretsmanager.ListSecrets' is not imitated here",
  );
});
