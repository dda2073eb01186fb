import { randomBytes } from 'node:crypto';
import { ACCOUNT, type Assembly } from './assembly.ts';
import type { Identities } from './identities.ts';
import { compilePolicy } from './policy.ts';
import type { Secrets } from './secrets.ts';

/** What the template wants generated for a secret. */
export interface SecretGeneration {
  readonly SecretStringTemplate?: string;
  readonly GenerateStringKey?: string;
  readonly PasswordLength?: number;
}

export interface AccessKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const DEFAULT_PASSWORD_LENGTH = 32;
const OPERATOR_POLICY = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] };

/** A random text, or the template's JSON with one under the key that it names. Hexadecimal, so no character is excluded. */
export function newSecret({ SecretStringTemplate, GenerateStringKey, PasswordLength }: SecretGeneration): string {
  const length = PasswordLength ?? DEFAULT_PASSWORD_LENGTH;
  const password = randomBytes(length).toString('hex').slice(0, length);
  if (SecretStringTemplate === undefined) return password;
  return JSON.stringify({ ...JSON.parse(SecretStringTemplate), [GenerateStringKey ?? 'password']: password });
}

/** The buckets, each of which must keep versions, and those whose events go to EventBridge. */
export function bucketsOf(assembly: Assembly): { readonly all: string[]; readonly announcing: string[] } {
  const buckets = assembly.ofType('AWS::S3::Bucket').map(({ logicalId, properties }) => {
    const { VersioningConfiguration, NotificationConfiguration } = properties as BucketProperties;
    if (VersioningConfiguration?.Status !== 'Enabled') throw new Error(`${logicalId}: expected a bucket with versions`);
    const announces = NotificationConfiguration?.EventBridgeConfiguration?.EventBridgeEnabled === true;
    return { name: logicalId.toLowerCase(), announces };
  });
  const named = (some: typeof buckets) => some.map(({ name }) => name);
  return { all: named(buckets), announcing: named(buckets.filter(({ announces }) => announces)) };
}

interface BucketProperties {
  readonly VersioningConfiguration?: { readonly Status?: string };
  readonly NotificationConfiguration?: {
    readonly EventBridgeConfiguration?: { readonly EventBridgeEnabled?: boolean };
  };
}

export interface ClusterTarget {
  readonly resourceArn: string;
  readonly database: string;
  /** The secret of the role that functions use: rows only. */
  readonly secretArn: string;
}

/** The one database cluster, as clients of the Data API name it. @throws Error unless there is exactly one */
export function clusterOf(assembly: Assembly, region: string, secrets: Secrets): ClusterTarget {
  const [cluster, ...others] = assembly.ofType('AWS::RDS::DBCluster');
  const owner = JSON.stringify(cluster?.properties.MasterUserPassword ?? '');
  const app = assembly
    .ofType('AWS::SecretsManager::Secret')
    .map(({ logicalId, properties }) => ({
      secret: secrets.getOrCreate(logicalId, () => newSecret(properties.GenerateSecretString as SecretGeneration)),
      generation: (properties.GenerateSecretString ?? {}) as SecretGeneration,
    }))
    .find(({ secret, generation }) => generation.SecretStringTemplate !== undefined && !owner.includes(secret.arn));
  if (cluster === undefined || others.length > 0 || app === undefined) {
    throw new Error('The local runtime needs one database cluster with an owner and an application secret.');
  }
  return {
    resourceArn: `arn:aws:rds:${region}:${ACCOUNT}:cluster:${cluster.logicalId.toLowerCase()}`,
    database: String(cluster.properties.DatabaseName),
    secretArn: app.secret.arn,
  };
}

/** Keys that may do everything, for the person at this machine; they stay the same over restarts. */
export function operatorKeys(secrets: Secrets, identities: Identities): AccessKeys {
  const arn = `arn:aws:iam::${ACCOUNT}:user/operator`;
  const made = () => ({
    accessKeyId: `AKIA${randomBytes(8).toString('hex').toUpperCase()}`,
    secretAccessKey: randomBytes(30).toString('base64url'),
  });
  const keys = JSON.parse(secrets.getOrCreate('LocalOperatorKeys', () => JSON.stringify(made())).value) as AccessKeys;
  identities.issueUser('operator', arn, compilePolicy('operator', [OPERATOR_POLICY]), keys);
  return keys;
}
