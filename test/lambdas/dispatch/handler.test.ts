import { ExecuteStatementCommand, RDSDataClient } from '@aws-sdk/client-rds-data';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { expect, test, vi } from 'vitest';
import { ENV } from '../../../core/util/index.ts';
import { mockClient } from '../../support/mock-client.ts';

test('a secret that could not be read is read again, and then cached', async () => {
  for (const name of Object.values(ENV)) vi.stubEnv(name, '{}');
  vi.stubEnv('AWS_REGION', 'eu-west-1');
  const secrets = mockClient(SecretsManagerClient);
  const database = mockClient(RDSDataClient);
  secrets.on(GetSecretValueCommand).rejectsOnce(new Error('throttled')).resolves({ SecretString: 'a secret' });
  database.on(ExecuteStatementCommand).resolves({});
  const { handler } = await import('../../../lambdas/dispatch/handler.ts');
  await expect(handler({ Records: [] })).rejects.toThrow('throttled');
  for (let calls = 0; calls < 2; calls++) expect(await handler({ Records: [] })).toEqual({ batchItemFailures: [] });
  expect(secrets.commandCalls(GetSecretValueCommand)).toHaveLength(2);
});
