import type { AwsService } from '../../../local/kernel/index.ts';
import { type AwsServer, compilePolicy, Identities, startAwsServer } from '../../../local/kernel/index.ts';

export const REGION = 'eu-west-1';

/** AWS endpoints on a free port, and an operator who may do everything. */
export interface TestEndpoints {
  readonly aws: AwsServer;
  readonly identities: Identities;
  /** Errors that were answered with 500. */
  readonly errors: unknown[];
  /** Configuration of SDK clients of the operator. */
  readonly operator: ReturnType<typeof clientConfig>;
  /** Configuration of SDK clients of a role with these statements. */
  role(...statements: object[]): ReturnType<typeof clientConfig>;
}

export function allow(action: string | string[], resource: string | string[] = '*'): object {
  return { Effect: 'Allow', Action: action, Resource: resource };
}

export async function startEndpoints(
  services: Record<string, AwsService>,
  clock: () => number = Date.now,
): Promise<TestEndpoints> {
  const identities = new Identities();
  const errors: unknown[] = [];
  const shared = { host: '127.0.0.1', port: 0, region: REGION, identities, services, clock };
  const aws = await startAwsServer({ ...shared, onError: (error) => errors.push(error) });
  const policy = (...statements: object[]) =>
    compilePolicy('a test', [{ Version: '2012-10-17', Statement: statements }]);
  const operator = identities.issueUser('operator', 'arn:aws:iam::000000000000:user/operator', policy(allow('*')));
  return {
    aws,
    identities,
    errors,
    operator: clientConfig(aws.url, operator),
    role(...statements) {
      const arn = 'arn:aws:sts::000000000000:assumed-role/Role/session';
      return clientConfig(aws.url, identities.issueRole('Role', arn, policy(...statements)));
    },
  };
}

function clientConfig(endpoint: string, credentials: ReturnType<Identities['issueRole']>) {
  return { endpoint, credentials, region: REGION, maxAttempts: 1 };
}
