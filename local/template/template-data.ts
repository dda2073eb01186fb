import { DATABASE_ROLES } from '../../core/db/index.ts';
import type { ClusterTarget } from '../home/index.ts';
import { ACCOUNT, arnOf, type Credentials, compilePolicy, type Identities, newKeys } from '../kernel/index.ts';
import type { SecretGeneration, Secrets } from '../services/secrets/index.ts';
import type { Assembly } from './assembly.ts';

const OPERATOR_POLICY = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] };

interface BucketProperties {
  readonly VersioningConfiguration?: { readonly Status?: string };
  readonly NotificationConfiguration?: {
    readonly EventBridgeConfiguration?: { readonly EventBridgeEnabled?: boolean };
  };
}

/** Name of the bucket. @throws Error unless there is exactly one, with versions and with events on EventBridge */
export function bucketOf(assembly: Assembly): string {
  const [bucket, ...others] = assembly.ofType('AWS::S3::Bucket');
  const { VersioningConfiguration, NotificationConfiguration } = (bucket?.properties ?? {}) as BucketProperties;
  const announces = NotificationConfiguration?.EventBridgeConfiguration?.EventBridgeEnabled === true;
  if (bucket && others.length === 0 && announces && VersioningConfiguration?.Status === 'Enabled') {
    return bucket.logicalId.toLowerCase();
  }
  throw new Error('The local runtime needs one bucket, with versions and with its events on EventBridge.');
}

/** The database cluster as operators address it through the Data API. @throws Error unless there is exactly one */
export function clusterOf(assembly: Assembly, secrets: Secrets): ClusterTarget {
  const [cluster, ...others] = assembly.ofType('AWS::RDS::DBCluster');
  const control = assembly
    .ofType('AWS::SecretsManager::Secret')
    .map(({ logicalId, properties }) => ({
      logicalId,
      generation: properties.GenerateSecretString as SecretGeneration,
    }))
    .filter(({ generation }) => generation.SecretStringTemplate?.includes(`"${DATABASE_ROLES.control}"`))
    .map(({ logicalId, generation }) => secrets.generate(logicalId, generation))[0];
  if (cluster === undefined || others.length > 0 || control === undefined) {
    throw new Error(
      `The local runtime needs one database cluster, with a secret for its role ${DATABASE_ROLES.control}.`,
    );
  }
  return {
    resourceArn: arnOf('rds', `cluster:${cluster.logicalId.toLowerCase()}`),
    database: String(cluster.properties.DatabaseName),
    secretArn: control.arn,
  };
}

/** The identities of this machine, who may do everything; two, so that one can approve what the other requests. */
export type LocalUser = 'operator' | 'approver';

const SECRETS: Readonly<Record<LocalUser, string>> = { operator: 'LocalOperatorKeys', approver: 'LocalApproverKeys' };

/** Keys of a user of this machine. They stay the same after a restart. */
export function userKeys(name: LocalUser, secrets: Secrets, identities: Identities): Credentials {
  const { value } = secrets.getOrCreate(SECRETS[name], () => JSON.stringify(newKeys('AKIA')));
  const policy = compilePolicy(name, [OPERATOR_POLICY]);
  return identities.issueUser(name, `arn:aws:iam::${ACCOUNT}:user/${name}`, policy, JSON.parse(value));
}
