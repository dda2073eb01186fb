import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ACCOUNT, arnOf, REGION } from '../kernel/index.ts';
import type { SecretGeneration, Secrets } from '../services/secrets/index.ts';
import { isLive } from './assembly-types.ts';
import { resolve, type Scope } from './intrinsics.ts';

export interface Resource {
  readonly stack: string;
  readonly logicalId: string;
  readonly type: string;
  /** Properties with every intrinsic resolved. */
  readonly properties: Readonly<Record<string, unknown>>;
}

export interface Assembly {
  /** All resources of a type, over all stacks, in the order of the templates. */
  ofType(type: string): readonly Resource[];
  /** The `Custom::` resources. */
  readonly customResources: readonly Resource[];
  /** The folder with the code of a function. */
  codeFolder(functionResource: Resource): string;
}

/** What templates refer to that is not in them. */
export interface AssemblySurroundings {
  readonly apiUrl: string;
  readonly awsUrl: string;
  readonly secrets: Secrets;
}

interface Template {
  readonly Resources: Record<string, { Type: string; Properties?: Record<string, unknown> }>;
  readonly Outputs?: Record<string, { Value: unknown; Export?: { Name: string } }>;
}

interface Artifact {
  readonly type: string;
  readonly properties: { readonly templateFile: string };
}

/**
 * Reads the synthesized cloud assembly, all stacks of it.
 * @throws Error for a resource type or an intrinsic that the local runtime does not know, naming the resource
 */
export function readAssembly(folder: string, around: AssemblySurroundings): Assembly {
  const stacks = readStacks(folder);
  const all = stacks.flatMap(({ stack, template }) =>
    Object.entries(template.Resources).map(([logicalId, { Type: type, Properties: properties = {} }]) => {
      return { stack, logicalId, type, properties };
    }),
  );
  const outputs = stacks.flatMap(({ template }) => Object.values(template.Outputs ?? {}));
  const exports = new Map(outputs.map(({ Export, Value }) => [Export?.Name, Value]));
  const live = all.flatMap((resource) => resolveLive(resource, scopeOf(resource.stack, all, exports, around)));
  refuseSharedNames(live);
  return {
    ofType: (type) => live.filter((resource) => resource.type === type),
    customResources: live.filter(({ type }) => type.startsWith('Custom::')),
    codeFolder({ logicalId, properties }) {
      const { S3Key } = properties.Code as { S3Key?: string };
      if (S3Key === undefined) throw new Error(`${logicalId}: its code is not an asset.`);
      return join(folder, `asset.${S3Key.replace(/\.zip$/, '')}`);
    },
  };
}

function readStacks(folder: string): { readonly stack: string; readonly template: Template }[] {
  const read = (file: string) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as unknown;
  const { artifacts } = read('manifest.json') as { artifacts: Record<string, Artifact> };
  return Object.entries(artifacts)
    .filter(([, { type }]) => type === 'aws:cloudformation:stack')
    .map(([stack, { properties }]) => ({ stack, template: read(properties.templateFile) as Template }));
}

/** @returns nothing for a resource that means nothing on one machine */
function resolveLive(resource: Resource, scope: Scope): Resource[] {
  const { stack, logicalId, type, properties } = resource;
  try {
    if (!isLive(type, properties)) return [];
    return [{ ...resource, properties: resolve(properties, scope) as Resource['properties'] }];
  } catch (cause) {
    throw new Error(`${stack}/${logicalId} (${type}): ${(cause as Error).message}`, { cause });
  }
}

/** Here a logical id is a name in the account, where CloudFormation would make one with the stack's name in it. */
function refuseSharedNames(resources: readonly Resource[]): void {
  const stacks = new Map<string, string>();
  for (const { logicalId, stack } of resources) {
    const other = stacks.get(logicalId);
    if (other !== undefined) throw new Error(`${logicalId} is in ${other} and in ${stack}: rename one of them.`);
    stacks.set(logicalId, stack);
  }
}

function scopeOf(
  stack: string,
  resources: readonly Resource[],
  exports: ReadonlyMap<unknown, unknown>,
  around: AssemblySurroundings,
): Scope {
  const find = (name: string): Resource => {
    const found = resources.find(({ logicalId }) => logicalId === name);
    if (found === undefined) throw new Error(`nothing is called ${name}`);
    return found;
  };
  const scope: Scope = {
    ref: (name) => pseudoParameters(stack)[name] ?? refOf(find(name), scope, around),
    getAtt: (name, attribute) => attributeOf(find(name), attribute, around),
    importValue(name) {
      if (exports.has(name)) return resolve(exports.get(name), scope);
      throw new Error(`no stack exports ${name}`);
    },
  };
  return scope;
}

const pseudoParameters = (stack: string): Readonly<Record<string, string>> => ({
  'AWS::AccountId': ACCOUNT,
  'AWS::Partition': 'aws',
  'AWS::Region': REGION,
  'AWS::StackName': stack,
});

function refOf({ logicalId, type, properties }: Resource, scope: Scope, around: AssemblySurroundings): unknown {
  if (type === 'AWS::SQS::Queue') return `${around.awsUrl}/${ACCOUNT}/${logicalId}`;
  if (type === 'AWS::SecretsManager::Secret') {
    return around.secrets.generate(logicalId, (properties.GenerateSecretString ?? {}) as SecretGeneration).arn;
  }
  if (type === 'AWS::SecretsManager::SecretTargetAttachment') return resolve(properties.SecretId, scope);
  if (type === 'AWS::S3::Bucket' || type === 'AWS::RDS::DBCluster') return logicalId.toLowerCase();
  return logicalId;
}

function attributeOf({ logicalId, type }: Resource, attribute: string, { apiUrl }: AssemblySurroundings): string {
  const attributes: Record<string, string> = {
    'AWS::ApiGatewayV2::Api.ApiEndpoint': apiUrl,
    'AWS::EC2::SecurityGroup.GroupId': logicalId,
    'AWS::IAM::Role.Arn': `arn:aws:iam::${ACCOUNT}:role/${logicalId}`,
    'AWS::Lambda::Function.Arn': arnOf('lambda', `function:${logicalId}`),
    'AWS::Logs::LogGroup.Arn': arnOf('logs', `log-group:${logicalId}:*`),
    'AWS::S3::Bucket.Arn': `arn:aws:s3:::${logicalId.toLowerCase()}`,
    'AWS::SQS::Queue.Arn': arnOf('sqs', logicalId),
  };
  const value = attributes[`${type}.${attribute}`];
  if (value === undefined) throw new Error(`attribute ${attribute} of ${logicalId} (${type}) is not known`);
  return value;
}
