/**
 * The resource types that the runtime implements, each with its known properties. Some properties have no effect on one
 * machine.
 */
const IMPLEMENTED: Readonly<Record<string, string>> = {
  'AWS::ApiGatewayV2::Api': 'DisableExecuteApiEndpoint Name ProtocolType',
  'AWS::ApiGatewayV2::Integration': 'ApiId IntegrationType IntegrationUri PayloadFormatVersion TimeoutInMillis',
  'AWS::ApiGatewayV2::Route': 'ApiId AuthorizationType RouteKey Target',
  'AWS::ApiGatewayV2::Stage': 'AccessLogSettings ApiId AutoDeploy DefaultRouteSettings RouteSettings StageName',
  'AWS::Events::Rule': 'Description EventPattern State Targets',
  'AWS::IAM::Policy': 'PolicyDocument PolicyName Roles',
  'AWS::IAM::Role': 'AssumeRolePolicyDocument Description',
  'AWS::IoT::Policy': 'PolicyDocument',
  'AWS::IoT::ProvisioningTemplate':
    'Description Enabled PreProvisioningHook ProvisioningRoleArn TemplateBody TemplateName',
  'AWS::IoT::ThingType': 'ThingTypeProperties',
  'AWS::IoT::TopicRule': 'TopicRulePayload',
  'AWS::Lambda::EventSourceMapping':
    'BatchSize EventSourceArn FunctionName FunctionResponseTypes MaximumBatchingWindowInSeconds ScalingConfig',
  'AWS::Lambda::Function':
    'Architectures Code Description Environment Handler LoggingConfig MemorySize Role Runtime Timeout TracingConfig',
  'AWS::RDS::DBCluster':
    'BackupRetentionPeriod CopyTagsToSnapshot DBClusterParameterGroupName DBSubnetGroupName DatabaseName ' +
    'DeletionProtection EnableHttpEndpoint Engine EngineVersion MasterUserPassword MasterUsername Port ' +
    'ServerlessV2ScalingConfiguration StorageEncrypted VpcSecurityGroupIds',
  'AWS::S3::Bucket':
    'BucketEncryption LifecycleConfiguration NotificationConfiguration PublicAccessBlockConfiguration VersioningConfiguration',
  'AWS::SNS::Topic': '',
  'AWS::SQS::Queue': 'MessageRetentionPeriod RedrivePolicy VisibilityTimeout',
  'AWS::Scheduler::Schedule':
    'Description FlexibleTimeWindow ScheduleExpression ScheduleExpressionTimezone State Target',
  'AWS::SecretsManager::Secret': 'Description GenerateSecretString',
  'AWS::SecretsManager::SecretTargetAttachment': 'SecretId TargetId TargetType',
};

/**
 * Types that have no effect on one machine: networks, alarms, dashboards, log groups, and permissions between services.
 */
const IGNORED = [
  'AWS::CDK::Metadata',
  'AWS::CloudWatch::Alarm',
  'AWS::CloudWatch::Dashboard',
  'AWS::EC2::RouteTable',
  'AWS::EC2::SecurityGroup',
  'AWS::EC2::SecurityGroupIngress',
  'AWS::EC2::Subnet',
  'AWS::EC2::SubnetRouteTableAssociation',
  'AWS::EC2::VPC',
  'AWS::IoT::ThingGroup',
  'AWS::Lambda::EventInvokeConfig',
  'AWS::Lambda::Permission',
  'AWS::Logs::LogGroup',
  'AWS::Logs::MetricFilter',
  'AWS::RDS::DBInstance',
  'AWS::RDS::DBSubnetGroup',
  'AWS::S3::BucketPolicy',
  'AWS::SNS::Subscription',
  'AWS::SNS::TopicPolicy',
  'AWS::SQS::QueuePolicy',
];

/**
 * True if the runtime implements a resource.
 * @throws Error for an unknown type, and for an unknown property of an implemented type: a resource that is silently
 *   ignored here could behave differently on AWS
 */
export function isImplemented(type: string, properties: object): boolean {
  if (IGNORED.includes(type)) return false;
  if (type.startsWith('Custom::')) return true;
  const known = IMPLEMENTED[type]?.split(' ');
  if (known === undefined) throw new Error(`the local runtime does not know the type; teach it, or list it as inert`);
  const unknown = Object.keys(properties).find((name) => !known.includes(name) && name !== 'Tags');
  if (unknown !== undefined) throw new Error(`the local runtime does not know its property ${unknown}`);
  return true;
}
