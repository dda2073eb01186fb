import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ACCOUNT, arnOf, REGION } from '../kernel/index.ts';
import type { SecretGeneration, Secrets } from '../services/secrets/index.ts';
import { isImplemented } from './assembly-types.ts';
import { resolve, type Scope } from './intrinsics.ts';

export interface Resource {
  readonly stack: string;
  readonly logicalId: string;
  readonly type: string;
  /** Properties with all intrinsic functions resolved. */
  readonly properties: Readonly<Record<string, unknown>>;
}

export interface Assembly {
  /** All resources of a type in all stacks, in the order of the templates. */
  ofType(type: string): readonly Resource[];
  /** Resources whose type begins with `Custom::`. */
  readonly customResources: readonly Resource[];
  /** Folder of the code of a function. */
  codeFolder(functionResource: Resource): string;
}

/** Values outside the templates that the templates refer to. */
export interface AssemblyDeps {
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
 * Reads all stacks of a synthesized cloud assembly.
 * @throws Error that names the resource, for an unknown resource type or intrinsic function
 */
export function readAssembly(folder: string, deps: AssemblyDeps): Assembly {
  const stacks = readStacks(folder);
  const all = stacks.flatMap(({ stack, template }) =>
    Object.entries(template.Resources).map(([logicalId, { Type: type, Properties: properties = {} }]) => {
      return { stack, logicalId, type, properties };
    }),
  );
  const outputs = stacks.flatMap(({ template }) => Object.values(template.Outputs ?? {}));
  const exports = new Map(outputs.map(({ Export, Value }) => [Export?.Name, Value]));
  const live = all.flatMap((resource) => resolveImplemented(resource, scopeOf(resource.stack, all, exports, deps)));
  rejectDuplicateIds(live);
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

/** @returns the resource, or nothing if it has no effect on one machine */
function resolveImplemented(resource: Resource, scope: Scope): Resource[] {
  const { stack, logicalId, type, properties } = resource;
  try {
    if (!isImplemented(type, properties)) return [];
    return [{ ...resource, properties: resolve(properties, scope) as Resource['properties'] }];
  } catch (cause) {
    throw new Error(`${stack}/${logicalId} (${type}): ${(cause as Error).message}`, { cause });
  }
}

/** Logical ids are names in the local account. CloudFormation would add the name of the stack to each. */
function rejectDuplicateIds(resources: readonly Resource[]): void {
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
  deps: AssemblyDeps,
): Scope {
  const find = (name: string): Resource => {
    const found = resources.find(({ logicalId }) => logicalId === name);
    if (found === undefined) throw new Error(`nothing is called ${name}`);
    return found;
  };
  const scope: Scope = {
    ref: (name) => pseudoParameters(stack)[name] ?? refOf(find(name), scope, deps),
    getAtt: (name, attribute) => attributeOf(find(name), attribute, deps),
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

function refOf({ logicalId, type, properties }: Resource, scope: Scope, deps: AssemblyDeps): unknown {
  if (type === 'AWS::SNS::Topic') return arnOf('sns', logicalId);
  if (type === 'AWS::SQS::Queue') return `${deps.awsUrl}/${ACCOUNT}/${logicalId}`;
  if (type === 'AWS::SecretsManager::Secret') {
    return deps.secrets.generate(logicalId, (properties.GenerateSecretString ?? {}) as SecretGeneration).arn;
  }
  if (type === 'AWS::SecretsManager::SecretTargetAttachment') return resolve(properties.SecretId, scope);
  if (type === 'AWS::S3::Bucket' || type === 'AWS::RDS::DBCluster') return logicalId.toLowerCase();
  return logicalId;
}

function attributeOf({ logicalId, type }: Resource, attribute: string, { apiUrl }: AssemblyDeps): string {
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
