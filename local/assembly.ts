import { readFileSync } from 'node:fs';
import { join, resolve as resolvePath } from 'node:path';
import { isLive } from './assembly-types.ts';
import { resolve, type Scope } from './intrinsics.ts';

/** There is one account and one region on a laptop. */
export const ACCOUNT = '000000000000';

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
  /** The value of a stack's output. */
  output(stack: string, name: string): string;
  /** The folder with the code of a function. */
  codeFolder(functionResource: Resource): string;
}

export interface AssemblyOptions {
  readonly region: string;
  /** What GetAtt ApiEndpoint means here. */
  readonly apiEndpoint: string;
  /** URL of a queue, from its name. */
  queueUrl(name: string): string;
  /** ARN of a secret, from its logical id and what the template wants generated. */
  secretArn(logicalId: string, generate: { readonly SecretStringTemplate?: string }): string;
}

interface Template {
  readonly Resources: Record<string, { Type: string; Properties?: Record<string, unknown> }>;
  readonly Outputs?: Record<string, { Value: unknown; Export?: { Name: string } }>;
}

/**
 * Reads the synthesized cloud assembly, all stacks of it.
 * @throws Error for a resource type or an intrinsic that the local runtime does not know, naming the resource
 */
export function readAssembly(folder: string, options: AssemblyOptions): Assembly {
  const manifest = readJson<{ artifacts: Record<string, Artifact> }>(join(folder, 'manifest.json'));
  const stacks = Object.entries(manifest.artifacts).flatMap(([name, { type, properties }]) =>
    type === 'aws:cloudformation:stack'
      ? [{ name, template: readJson<Template>(join(folder, properties.templateFile)) }]
      : [],
  );
  const templates = new Map(stacks.map(({ name, template }) => [name, template]));
  const resources = stacks.flatMap(({ name, template }) =>
    readResources(name, template, scopeOf(name, templates, options)),
  );
  refuseSharedNames(resources);
  return {
    ofType: (type) => resources.filter((resource) => resource.type === type),
    customResources: resources.filter(({ type }) => type.startsWith('Custom::')),
    output(stack, name) {
      const output = templates.get(stack)?.Outputs?.[name];
      if (output === undefined) throw new Error(`Stack ${stack} has no output ${name}.`);
      return String(resolve(output.Value, scopeOf(stack, templates, options)));
    },
    codeFolder({ logicalId, properties }) {
      const { S3Key } = properties.Code as { S3Key?: string };
      if (S3Key === undefined) throw new Error(`${logicalId}: its code is not an asset.`);
      return resolvePath(folder, `asset.${S3Key.replace(/\.zip$/, '')}`);
    },
  };
}

interface Artifact {
  readonly type: string;
  readonly properties: { readonly templateFile: string };
}

function readResources(stack: string, template: Template, scope: Scope): Resource[] {
  return Object.entries(template.Resources).flatMap(([logicalId, { Type: type, Properties = {} }]) => {
    try {
      if (!isLive(type, Properties)) return [];
      return [{ stack, logicalId, type, properties: resolve(Properties, scope) as Record<string, unknown> }];
    } catch (cause) {
      throw new Error(`${stack}/${logicalId} (${type}): ${(cause as Error).message}`, { cause });
    }
  });
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

function scopeOf(stack: string, templates: ReadonlyMap<string, Template>, options: AssemblyOptions): Scope {
  const template = templates.get(stack);
  const find = (logicalId: string) => {
    const resource = template?.Resources[logicalId];
    if (resource === undefined) throw new Error(`nothing in stack ${stack} is called ${logicalId}`);
    return resource;
  };
  const scope: Scope = {
    ref: (name) => pseudoParameter(name, stack, options.region) ?? refOf(name, find(name), scope, options),
    getAtt: (name, attribute) => attributeOf(name, find(name).Type, attribute, options),
    importValue(exportName) {
      for (const [exporter, { Outputs = {} }] of templates) {
        const output = Object.values(Outputs).find(({ Export }) => Export?.Name === exportName);
        if (output !== undefined) return resolve(output.Value, scopeOf(exporter, templates, options));
      }
      throw new Error(`no stack exports ${exportName}`);
    },
  };
  return scope;
}

function pseudoParameter(name: string, stack: string, region: string): string | undefined {
  const values: Record<string, string> = {
    'AWS::AccountId': ACCOUNT,
    'AWS::Partition': 'aws',
    'AWS::Region': region,
    'AWS::StackId': `arn:aws:cloudformation:${region}:${ACCOUNT}:stack/${stack}/local`,
    'AWS::StackName': stack,
    'AWS::URLSuffix': 'amazonaws.com',
  };
  return values[name];
}

function refOf(
  logicalId: string,
  { Type, Properties = {} }: Template['Resources'][string],
  scope: Scope,
  options: AssemblyOptions,
): unknown {
  if (Type === 'AWS::SQS::Queue') return options.queueUrl(logicalId);
  if (Type === 'AWS::SecretsManager::Secret')
    return options.secretArn(logicalId, (Properties.GenerateSecretString ?? {}) as object);
  if (Type === 'AWS::SecretsManager::SecretTargetAttachment') return resolve(Properties.SecretId, scope);
  if (Type === 'AWS::S3::Bucket' || Type === 'AWS::RDS::DBCluster') return logicalId.toLowerCase();
  return logicalId;
}

function attributeOf(
  logicalId: string,
  type: string,
  attribute: string,
  { region, apiEndpoint }: AssemblyOptions,
): string {
  if (type === 'AWS::ApiGatewayV2::Api' && attribute === 'ApiEndpoint') return apiEndpoint;
  if (type === 'AWS::EC2::SecurityGroup' && attribute === 'GroupId') return logicalId;
  const arns: Record<string, string> = {
    'AWS::IAM::Role': `arn:aws:iam::${ACCOUNT}:role/${logicalId}`,
    'AWS::Lambda::Function': `arn:aws:lambda:${region}:${ACCOUNT}:function:${logicalId}`,
    'AWS::Logs::LogGroup': `arn:aws:logs:${region}:${ACCOUNT}:log-group:${logicalId}:*`,
    'AWS::S3::Bucket': `arn:aws:s3:::${logicalId.toLowerCase()}`,
    'AWS::SQS::Queue': `arn:aws:sqs:${region}:${ACCOUNT}:${logicalId}`,
  };
  const arn = arns[type];
  if (attribute !== 'Arn' || arn === undefined)
    throw new Error(`attribute ${attribute} of ${logicalId} (${type}) is not known`);
  return arn;
}

const readJson = <T>(file: string): T => JSON.parse(readFileSync(file, 'utf8')) as T;
