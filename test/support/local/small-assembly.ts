import { writeCloudAssembly } from './cloud-assembly.ts';

const att = (logicalId: string) => ({ 'Fn::GetAtt': [logicalId, 'Arn'] });
// biome-ignore lint/suspicious/noTemplateCurlyInString: a policy variable
const THING = '${iot:Connection.Thing.ThingName}';
const iotArn = (resource: string) => `arn:aws:iot:eu-west-1:000000000000:${resource}`;

/** The source of each function; tests replace some. */
const BUNDLES = {
  work: 'export const handler = async ({ Records }) => { for (const { body } of Records) console.log(body) }',
  tick: "export const handler = async () => console.log('ticked')",
  download:
    "export const handler = async (event) => ({ statusCode: 200, body: 'you said ' + event.pathParameters.token })",
  migrate: `export async function handler({ ResponseURL, LogicalResourceId }) {
    console.log('made ' + LogicalResourceId);
    await fetch(ResponseURL, { method: 'PUT', body: JSON.stringify({ Status: 'SUCCESS', PhysicalResourceId: 'x' }) });
  }`,
};

const ACTIONS = [
  'sqs:SendMessage',
  'sqs:ReceiveMessage',
  'sqs:DeleteMessage',
  'sqs:GetQueueAttributes',
  'lambda:InvokeFunction',
];

const fn = (bundle: string) => ({
  Type: 'AWS::Lambda::Function',
  Properties: { Code: { S3Key: `${bundle}.zip` }, Handler: 'index.handler', Role: att('Role'), Timeout: 10 },
});

const secret = (username: string) => ({
  Type: 'AWS::SecretsManager::Secret',
  Properties: { GenerateSecretString: { SecretStringTemplate: JSON.stringify({ username }) } },
});

const DATA = {
  Owner: secret('owner'),
  Control: secret('paku_control'),
  Cluster: {
    Type: 'AWS::RDS::DBCluster',
    Properties: { DatabaseName: 'sample', MasterUserPassword: { 'Fn::Join': [':', ['secret', { Ref: 'Owner' }]] } },
  },
  Firmware: {
    Type: 'AWS::S3::Bucket',
    Properties: {
      VersioningConfiguration: { Status: 'Enabled' },
      NotificationConfiguration: { EventBridgeConfiguration: { EventBridgeEnabled: true } },
    },
  },
};

const MESSAGING = {
  Queue: { Type: 'AWS::SQS::Queue' },
  Mapping: {
    Type: 'AWS::Lambda::EventSourceMapping',
    Properties: { EventSourceArn: att('Queue'), FunctionName: { Ref: 'Work' } },
  },
  Rule: {
    Type: 'AWS::IoT::TopicRule',
    Properties: {
      TopicRulePayload: {
        Sql: "SELECT encode(*, 'base64') AS payload, topic() AS topic, timestamp() AS received_at, clientid() AS client_id FROM 'paku/edge/+/status'",
        AwsIotSqlVersion: '2016-03-23',
        Actions: [{ Sqs: { QueueUrl: { Ref: 'Queue' }, RoleArn: att('Role'), UseBase64: false } }],
      },
    },
  },
  Uploads: {
    Type: 'AWS::Events::Rule',
    Properties: { EventPattern: { source: ['aws.s3'] }, Targets: [{ Id: 'T', Arn: att('Queue') }] },
  },
  DevicePolicy: {
    Type: 'AWS::IoT::Policy',
    Properties: {
      PolicyDocument: {
        Version: '2012-10-17',
        Statement: [
          { Effect: 'Allow', Action: 'iot:Connect', Resource: iotArn(`client/${THING}`) },
          { Effect: 'Allow', Action: 'iot:Publish', Resource: iotArn(`topic/paku/edge/${THING}/*`) },
        ],
      },
    },
  },
};

const CALLERS = {
  Schedule: {
    Type: 'AWS::Scheduler::Schedule',
    Properties: { ScheduleExpression: 'rate(1 minute)', Target: { Arn: att('Tick'), RoleArn: att('Role') } },
  },
  Migration: { Type: 'Custom::Sample', Properties: { ServiceToken: att('Migrate') } },
  Api: { Type: 'AWS::ApiGatewayV2::Api' },
  Integration: {
    Type: 'AWS::ApiGatewayV2::Integration',
    Properties: { IntegrationUri: att('Download'), PayloadFormatVersion: '2.0' },
  },
  Route: {
    Type: 'AWS::ApiGatewayV2::Route',
    Properties: {
      ApiId: { Ref: 'Api' },
      AuthorizationType: 'NONE',
      RouteKey: 'GET /d/{token}',
      Target: { 'Fn::Join': ['/', ['integrations', { Ref: 'Integration' }]] },
    },
  },
};

/** Writes one stack with one resource of each implemented type. @param without actions that its role is not granted */
export function smallAssembly(bundles: Partial<typeof BUNDLES> = {}, without: readonly string[] = []): Promise<string> {
  const Action = ACTIONS.filter((action) => !without.includes(action));
  const PolicyDocument = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action, Resource: '*' }] };
  const Resources = {
    ...DATA,
    ...MESSAGING,
    ...CALLERS,
    Role: { Type: 'AWS::IAM::Role' },
    Grants: { Type: 'AWS::IAM::Policy', Properties: { PolicyDocument, Roles: [{ Ref: 'Role' }] } },
    Work: fn('work'),
    Tick: fn('tick'),
    Download: fn('download'),
    Migrate: fn('migrate'),
  };
  return writeCloudAssembly({ Sample: { Resources } }, { ...BUNDLES, ...bundles });
}
