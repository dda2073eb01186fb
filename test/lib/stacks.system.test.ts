import { generateKeyPairSync } from 'node:crypto';
import { Match } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { resources, synthesize } from '../support/lib/templates.ts';

const { data, service, dataTemplate, serviceTemplate } = synthesize();

describe('what must never be lost', () => {
  test('keeps its logical ids, since another id is another resource', () => {
    const ids = ['AWS::RDS::DBCluster', 'AWS::S3::Bucket', 'AWS::SecretsManager::Secret'].flatMap((type) =>
      resources(dataTemplate, type).map(([id]) => id),
    );
    expect(ids).toEqual([
      'DatabaseCluster5B53A178',
      'FirmwareBucket59E574FA',
      'PakuOtaDataDatabaseClusterSecretA6485E7F3fdaad7efa858a3daf9490cf0a702aeb',
      'DatabaseAppSecret2E50FD00',
      'LinkSecret6774D112',
    ]);
  });

  test('nor do queues change theirs, for what they hold, and their mappings, of which Lambda allows one a queue', () => {
    const ids = ['AWS::SQS::Queue', 'AWS::Lambda::EventSourceMapping'].flatMap((type) =>
      resources(serviceTemplate, type).map(([id]) => id),
    );
    expect(ids.sort()).toEqual([
      'DispatchQueueDeadLettersB00FFFBB',
      'DispatchQueueF361AC85',
      'DispatchQueueQueueMapping81582F9D',
      'OtaQueueB91682DF',
      'OtaQueueDeadLettersED08CAFE',
      'OtaQueueQueueMapping0DAEBC78',
      'OtaQueueUndelivered3D875E39',
      'OtaQueueUndeliveredMappingF51DE9AF',
      'StatusQueue184BBAD8',
      'StatusQueueDeadLettersFD2BB508',
      'StatusQueueQueueMapping9401DE41',
      'StatusQueueUndelivered23641C71',
      'StatusQueueUndeliveredMappingA5720BAA',
      'UploadQueue2732A260',
      'UploadQueueDeadLetters1413A5F7',
      'UploadQueueQueueMappingE50CF69B',
    ]);
  });

  test('outlives its stack', () => {
    expect(data.terminationProtection).toBe(true);
    for (const type of ['AWS::RDS::DBCluster', 'AWS::S3::Bucket', 'AWS::SecretsManager::Secret']) {
      dataTemplate.allResources(type, { DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' });
    }
    dataTemplate.hasResourceProperties('AWS::RDS::DBCluster', { DeletionProtection: true });
  });

  test('goes with its stack where the settings say so', () => {
    const { dataTemplate: destroyed } = synthesize({ dataRemovalPolicy: 'destroy' });
    destroyed.allResources('AWS::S3::Bucket', { DeletionPolicy: 'Delete' });
    destroyed.hasResourceProperties('AWS::RDS::DBCluster', { DeletionProtection: false });
  });

  test('is a private, versioned, TLS-only bucket that tells EventBridge', () => {
    dataTemplate.hasResourceProperties('AWS::S3::Bucket', {
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
      VersioningConfiguration: { Status: 'Enabled' },
      NotificationConfiguration: { EventBridgeConfiguration: { EventBridgeEnabled: true } },
    });
    dataTemplate.hasResourceProperties('AWS::S3::BucketPolicy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
        ]),
      },
    });
  });

  test('is an encrypted cluster that may pause, in a network without a way out', () => {
    dataTemplate.hasResourceProperties('AWS::RDS::DBCluster', {
      EnableHttpEndpoint: true,
      StorageEncrypted: true,
      ServerlessV2ScalingConfiguration: { MinCapacity: 0, MaxCapacity: 2, SecondsUntilAutoPause: 300 },
    });
    dataTemplate.resourceCountIs('AWS::EC2::NatGateway', 0);
    dataTemplate.resourceCountIs('AWS::EC2::InternetGateway', 0);
  });
});

describe('the database', () => {
  const ingress = (template: typeof dataTemplate) => resources(template, 'AWS::EC2::SecurityGroupIngress');
  const text = (template: typeof dataTemplate) => JSON.stringify(template.findResources('AWS::EC2::SecurityGroup'));

  test('is reached by the Data API alone', () => {
    expect(ingress(dataTemplate)).toEqual([]);
    expect(text(dataTemplate)).not.toContain('SecurityGroupIngress');
  });

  test('lets the one security group in that the settings name, and says where it listens', () => {
    const { dataTemplate: opened } = synthesize({ database: { allowedSecurityGroupId: 'sg-0123456789abcdef0' } });
    const rules = ingress(opened).map(([, { Properties }]) => Properties);
    const port = { 'Fn::GetAtt': ['DatabaseCluster5B53A178', 'Endpoint.Port'] };
    expect(rules).toMatchObject([
      { IpProtocol: 'tcp', FromPort: port, ToPort: port, SourceSecurityGroupId: 'sg-0123456789abcdef0' },
    ]);
    opened.resourceCountIs('AWS::EC2::SecurityGroupEgress', 0);
    opened.hasOutput('DatabaseHost', {});
  });
});

describe('functions', () => {
  const functions = resources(serviceTemplate, 'AWS::Lambda::Function');

  test('run on nodejs24.x, arm64, traced, each with a role and a log group of its own', () => {
    expect(functions).toHaveLength(9);
    for (const [, { Properties }] of functions) {
      expect(Properties).toMatchObject({
        Runtime: 'nodejs24.x',
        Architectures: ['arm64'],
        TracingConfig: { Mode: 'Active' },
        Handler: 'index.handler',
      });
    }
    const distinct = (property: string) =>
      new Set(functions.map(([, { Properties }]) => JSON.stringify(Properties[property]))).size;
    expect(distinct('Role')).toBe(functions.length);
    expect(distinct('LoggingConfig')).toBe(functions.length);
    serviceTemplate.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: 30 });
  });

  test('wait for the migration, which CloudFormation does not wait for longer than its function may run', () => {
    const others = functions.filter(([id]) => !id.startsWith('Migration'));
    for (const [id, { DependsOn = [] }] of others) expect(DependsOn, id).toContain('MigrationC13A4580');
    serviceTemplate.hasResourceProperties('Custom::PakuOtaMigration', { ServiceTimeout: '600' });
  });

  test('deploy after the data', () => {
    expect(service.dependencies).toContain(data);
  });
});

describe('grants', () => {
  interface Statement {
    readonly Action: string | string[];
    readonly Resource: unknown;
  }
  const statements = (role: string) =>
    resources(serviceTemplate, 'AWS::IAM::Policy')
      .filter(([id]) => id.startsWith(`${role}Role`))
      .flatMap(([, { Properties }]) => (Properties.PolicyDocument as { Statement: Statement[] }).Statement);
  const actions = (role: string) =>
    statements(role)
      .flatMap(({ Action }) => Action)
      .sort();
  const everyone = [
    'logs:CreateLogStream',
    'logs:PutLogEvents',
    'rds-data:ExecuteStatement',
    'secretsmanager:GetSecretValue',
    'xray:PutTelemetryRecords',
    'xray:PutTraceSegments',
  ];
  const consumer = ['sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ReceiveMessage'];

  test.each([
    ['IngestOta', [...everyone, ...consumer]],
    ['IngestStatus', [...everyone, ...consumer, 'sqs:SendMessage', 's3:GetObject', 's3:PutObject']],
    ['Orchestrate', [...everyone, 'sqs:SendMessage', 'events:PutEvents', 's3:GetObject', 's3:PutObject']],
    ['Dispatch', [...everyone, ...consumer, 'iot:SendDirectMessage']],
    ['Download', [...everyone, 's3:GetObject']],
    ['ProvisioningHook', everyone],
    ['RegisterRelease', [...everyone, ...consumer, 's3:GetObjectVersion', 's3:PutObject']],
    [
      'OperatorApi',
      [
        ...everyone,
        'iot:DeleteConnection',
        'iot:DescribeThing',
        'iot:ListThingPrincipals',
        'iot:UpdateCertificate',
        's3:GetObject',
        's3:ListBucket',
        's3:PutObject',
        'sqs:DeleteMessage',
        'sqs:GetQueueAttributes',
        'sqs:ReceiveMessage',
        'sqs:SendMessage',
        'sqs:StartMessageMoveTask',
      ],
    ],
    [
      'MigrationFunction',
      [...everyone, 'rds-data:BeginTransaction', 'rds-data:CommitTransaction', 'rds-data:RollbackTransaction'],
    ],
  ])('%s may do exactly what it needs', (role, expected) => {
    expect([...new Set(actions(role))]).toEqual([...new Set(expected)].sort());
  });

  test('only dispatch and download may read what signs links, only the migration what owns the schema', () => {
    const readers = (secret: string) =>
      [
        'IngestOta',
        'IngestStatus',
        'Orchestrate',
        'Dispatch',
        'Download',
        'RegisterRelease',
        'OperatorApi',
        'ProvisioningHook',
        'MigrationFunction',
      ].filter((role) => JSON.stringify(statements(role)).includes(secret));
    expect(readers('LinkSecret')).toEqual(['Dispatch', 'Download']);
    expect(readers('ClusterSecretAttachment')).toEqual(['MigrationFunction']);
  });

  test('an upload may be read where uploads are, and nothing else in the bucket', () => {
    const readable = statements('RegisterRelease').filter(({ Action }) => Action.includes('s3:GetObject'));
    expect(JSON.stringify(readable)).toContain('/firmware/*"');
    expect(readable).toHaveLength(1);
  });

  test('a signature beside an upload may be read only where the settings trust a key that could have made it', () => {
    const { publicKey } = generateKeyPairSync('ed25519');
    const key = publicKey.export({ type: 'spki', format: 'pem' });
    const { serviceTemplate: signing } = synthesize({ models: { van: { trustedPublicKeys: [key] } } });
    const [[, policy] = []] = resources(signing, 'AWS::IAM::Policy').filter(([id]) => id.startsWith('RegisterRelease'));
    expect(JSON.stringify(policy)).toMatch(/"s3:GetObject".*"s3:ListBucket"/s);
  });

  test('dispatch may read images, to presign them, only where the settings have a model that wants that', () => {
    const models = { display: { delivery: 'presigned', packetLimitBytes: 4_096 } };
    const { serviceTemplate: presigning } = synthesize({ models });
    const [[, policy] = []] = resources(presigning, 'AWS::IAM::Policy').filter(([id]) => id.startsWith('DispatchRole'));
    expect(JSON.stringify(policy)).toContain('s3:GetObject');
  });

  test('publishing is granted instead of direct messages where the settings say so', () => {
    const { serviceTemplate: publishing } = synthesize({ commandTransport: 'publish' });
    const text = JSON.stringify(publishing.findResources('AWS::IAM::Policy'));
    expect(text).toContain('iot:Publish');
    expect(text).not.toContain('SendDirectMessage');
  });
});

/** Logical ids of the functions that an SQS action of a rule leads to. */
const functionsFedBy = (action: object | undefined): unknown[] => {
  const { QueueUrl } = (action as { Sqs: { QueueUrl: { Ref: string } } }).Sqs;
  return resources(serviceTemplate, 'AWS::Lambda::EventSourceMapping')
    .map(([, { Properties }]) => Properties as { EventSourceArn: unknown; FunctionName: unknown })
    .filter(({ EventSourceArn }) => JSON.stringify(EventSourceArn).includes(`"${QueueUrl.Ref}"`))
    .map(({ FunctionName }) => FunctionName);
};

describe('queues', () => {
  test('each have a dead-letter queue, and wait six times as long as their function may run', () => {
    const queues = resources(serviceTemplate, 'AWS::SQS::Queue').filter(([id]) => !id.includes('DeadLetters'));
    expect(queues).toHaveLength(6);
    for (const [, { Properties }] of queues) {
      expect(Properties).toMatchObject({ MessageRetentionPeriod: 1_209_600, RedrivePolicy: { maxReceiveCount: 50 } });
      expect(Properties.VisibilityTimeout).toBeGreaterThanOrEqual(6 * 60);
    }
  });

  test('get every message as the broker saw it', () => {
    const rules = resources(serviceTemplate, 'AWS::IoT::TopicRule').map(
      ([, { Properties }]) =>
        Properties.TopicRulePayload as {
          Sql: string;
          AwsIotSqlVersion: string;
          Actions: object[];
          ErrorAction: object;
        },
    );
    expect(rules.map(({ Sql }) => /FROM '(.*)'/.exec(Sql)?.[1])).toEqual([
      'paku/edge/+/status',
      'paku/devices/+/ota/+',
      'paku/edge/+/ota/+',
    ]);
    for (const rule of rules) {
      expect(rule.Sql).toContain(
        "SELECT encode(*, 'base64') AS payload, topic() AS topic, timestamp() AS received_at, clientid() AS client_id",
      );
      expect(rule.AwsIotSqlVersion).toBe('2016-03-23');
      // What its own queue does not take, the rule gives to the same function by another.
      expect(functionsFedBy(rule.ErrorAction)).toEqual(functionsFedBy(rule.Actions[0]));
      expect(functionsFedBy(rule.ErrorAction)).toHaveLength(1);
      expect(rule.ErrorAction).not.toEqual(rule.Actions[0]);
    }
  });
});

describe('devices', () => {
  test('may use their own two subtrees and nothing else, in a policy that AWS takes', () => {
    const [[, policy] = []] = resources(serviceTemplate, 'AWS::IoT::Policy');
    const text = JSON.stringify(policy?.Properties.PolicyDocument);
    expect(text.length).toBeLessThan(2_048);
    const names = [...text.matchAll(/:(client|topic|topicfilter)\/([^"]*)"/g)].map(
      ([, kind, name]) => `${kind} ${name}`,
    );
    const thing = '$' + '{iot:Connection.Thing.ThingName}';
    expect(names).toEqual([
      `client ${thing}`,
      `topic paku/edge/${thing}/*`,
      `topic paku/devices/${thing}/*`,
      `topic paku/edge/${thing}/status`,
      `topicfilter paku/edge/${thing}/*`,
      `topicfilter paku/devices/${thing}/*`,
    ]);
  });
});

describe('the front door', () => {
  test('is throttled and logs routes, never paths, which hold tokens', () => {
    const [[, stage] = []] = resources(serviceTemplate, 'AWS::ApiGatewayV2::Stage');
    expect(stage?.Properties).toMatchObject({
      DefaultRouteSettings: { ThrottlingBurstLimit: 400, ThrottlingRateLimit: 200 },
    });
    const { Format } = (stage?.Properties.AccessLogSettings ?? { Format: '' }) as { Format: string };
    expect(Format).toContain('$context.routeKey');
    expect(Format).not.toContain('path');
  });

  test('can have a name of its own', () => {
    const { serviceTemplate: named } = synthesize({
      customDomain: { domainName: 'ota.example.com', certificateArn: 'arn:aws:acm:eu-west-1:1:certificate/x' },
    });
    named.hasResourceProperties('AWS::ApiGatewayV2::DomainName', { DomainName: 'ota.example.com' });
    named.hasResourceProperties('AWS::ApiGatewayV2::Api', { DisableExecuteApiEndpoint: true });
  });
});

test('the orchestrator is called every minute, and a stale call is dropped', () => {
  serviceTemplate.hasResourceProperties('AWS::Scheduler::Schedule', {
    ScheduleExpression: 'rate(1 minute)',
    Target: { RetryPolicy: { MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60 } },
  });
});
