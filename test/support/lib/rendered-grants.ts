import type { Template } from 'aws-cdk-lib/assertions';
import { type Resource, resources, type Statement } from './templates.ts';

/** An action on a resource, as an IAM policy or the policy of a resource has it. */
export interface RenderedGrant {
  /** Logical id of the policy. */
  readonly policy: string;
  readonly action: string;
  /** An ARN with its wildcards. */
  readonly resource: string;
  readonly conditionKeys: readonly string[];
}

interface Stacks {
  readonly dataTemplate: Template;
  readonly serviceTemplate: Template;
}

const POLICY_TYPES = [
  'AWS::IAM::Policy',
  'AWS::IAM::ManagedPolicy',
  'AWS::S3::BucketPolicy',
  'AWS::SQS::QueuePolicy',
  'AWS::SNS::TopicPolicy',
  'AWS::IoT::Policy',
];

const PSEUDO: Readonly<Record<string, string>> = {
  'AWS::Partition': 'aws',
  'AWS::Region': 'eu-west-1',
  'AWS::AccountId': '123456789012',
  'AWS::URLSuffix': 'amazonaws.com',
};

const account = 'eu-west-1:123456789012';
/** Types whose Ref is their ARN, and the ARN of each type that a policy names. */
const REF_IS_ARN = ['AWS::SecretsManager::Secret', 'AWS::SNS::Topic', 'AWS::SecretsManager::SecretTargetAttachment'];
const ARNS: Readonly<Record<string, (name: string) => string>> = {
  'AWS::SecretsManager::Secret': (name) => `arn:aws:secretsmanager:${account}:secret:${name}`,
  'AWS::SecretsManager::SecretTargetAttachment': (name) => `arn:aws:secretsmanager:${account}:secret:${name}`,
  'AWS::SNS::Topic': (name) => `arn:aws:sns:${account}:${name}`,
  'AWS::SQS::Queue': (name) => `arn:aws:sqs:${account}:${name}`,
  'AWS::S3::Bucket': (name) => `arn:aws:s3:::${name}`,
  'AWS::Lambda::Function': (name) => `arn:aws:lambda:${account}:function:${name}`,
  'AWS::Logs::LogGroup': (name) => `arn:aws:logs:${account}:log-group:${name}:*`,
  'AWS::IAM::Role': (name) => `arn:aws:iam::123456789012:role/${name}`,
  'AWS::RDS::DBCluster': (name) => `arn:aws:rds:${account}:cluster:${name}`,
  'AWS::KMS::Key': (name) => `arn:aws:kms:${account}:key/${name}`,
};

/** Every statement of both stacks, one entry for each action and resource. */
export function grantsOf({ dataTemplate, serviceTemplate }: Stacks): RenderedGrant[] {
  return [dataTemplate, serviceTemplate].flatMap((template) => {
    const render = rendererOf(template, dataTemplate);
    return POLICY_TYPES.flatMap((type) => resources(template, type)).flatMap(([policy, resource]) =>
      statements(resource).flatMap((statement) => entriesOf(policy, statement, render)),
    );
  });
}

const statements = ({ Properties }: Resource) => (Properties.PolicyDocument as { Statement: Statement[] }).Statement;

function entriesOf(policy: string, statement: Statement, render: (value: unknown) => string): RenderedGrant[] {
  // Deny of everything without TLS
  if (statement.Effect === 'Deny' && /^[a-z0-9]+:\*$/.test(String(statement.Action))) return [];
  const conditionKeys = Object.values(statement.Condition ?? {}).flatMap((keys) => Object.keys(keys));
  return [statement.Action]
    .flat()
    .flatMap((action) =>
      [statement.Resource].flat().map((resource) => ({ policy, action, resource: render(resource), conditionKeys })),
    );
}

function rendererOf(template: Template, dataTemplate: Template) {
  const definitions = template.toJSON().Resources as Record<string, { Type: string }>;
  const arnOf = (logicalId: string): string => {
    const arn = ARNS[definitions[logicalId]?.Type ?? ''];
    if (arn === undefined) throw new Error(`no ARN is known for ${logicalId}: ${definitions[logicalId]?.Type}`);
    return arn(logicalId);
  };
  const render = (value: unknown): string => {
    if (typeof value === 'string') return value;
    const [[name, argument] = ['', undefined]] = Object.entries(value as object) as [string, unknown][];
    if (name === 'Ref') return PSEUDO[String(argument)] ?? refOf(String(argument));
    if (name === 'Fn::Join') {
      const [separator, parts] = argument as [string, unknown[]];
      return parts.map(render).join(separator);
    }
    if (name === 'Fn::ImportValue') return rendererOf(dataTemplate, dataTemplate)(exportOf(String(argument)));
    if (name === 'Fn::GetAtt') {
      const [logicalId = '', attribute = ''] = argument as [string, string];
      return /Arn$/.test(attribute) ? arnOf(logicalId) : logicalId;
    }
    throw new Error(`cannot render ${JSON.stringify(value)}`);
  };
  const refOf = (logicalId: string) =>
    REF_IS_ARN.includes(definitions[logicalId]?.Type ?? '') ? arnOf(logicalId) : logicalId;
  const exportOf = (exportName: string): unknown => {
    const outputs = Object.values(dataTemplate.toJSON().Outputs) as { Value: unknown; Export?: { Name: string } }[];
    const found = outputs.find((output) => output.Export?.Name === exportName);
    if (found === undefined) throw new Error(`the data stack does not export ${exportName}`);
    return found.Value;
  };
  return render;
}
