import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { resources, type Statement, synthesize } from '../../support/lib/templates.ts';

const { serviceTemplate } = synthesize();

describe('grants', () => {
  const statements = (role: string) =>
    resources(serviceTemplate, 'AWS::IAM::Policy')
      .filter(([id]) => id.startsWith(`${role}Role`))
      .flatMap(([, { Properties }]) => (Properties.PolicyDocument as { Statement: Statement[] }).Statement);
  const actions = (role: string) =>
    statements(role)
      .flatMap(({ Action }) => Action)
      .sort();
  const everyFunction = [
    'logs:CreateLogStream',
    'logs:PutLogEvents',
    'rds-data:ExecuteStatement',
    'secretsmanager:GetSecretValue',
    'xray:PutTelemetryRecords',
    'xray:PutTraceSegments',
  ];
  const consumer = ['sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ReceiveMessage'];

  test.each([
    ['IngestOta', [...everyFunction, ...consumer]],
    ['IngestStatus', [...everyFunction, ...consumer, 'sqs:SendMessage', 's3:GetObject', 's3:PutObject']],
    [
      'Orchestrate',
      [
        ...everyFunction,
        'sqs:GetQueueAttributes',
        'sqs:SendMessage',
        'events:PutEvents',
        'iot:DescribeCertificate',
        'iot:DescribeThing',
        'iot:ListPrincipalThings',
        'iot:ListThingPrincipals',
        'iot:UpdateCertificate',
        's3:GetObject',
        's3:PutObject',
      ],
    ],
    ['Dispatch', [...everyFunction, ...consumer, 'iot:ListSubscriptions', 'iot:SendDirectMessage']],
    ['Download', [...everyFunction, 's3:GetObject']],
    ['ProvisioningHook', everyFunction],
    ['RegisterRelease', [...everyFunction, ...consumer, 's3:GetObject', 's3:GetObjectVersion', 's3:PutObject']],
    [
      'OperatorApi',
      [
        ...everyFunction,
        'iot:DeleteConnection',
        'iot:DescribeThing',
        'iot:GetConnection',
        'iot:ListSubscriptions',
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
      [...everyFunction, 'rds-data:BeginTransaction', 'rds-data:CommitTransaction', 'rds-data:RollbackTransaction'],
    ],
  ])('%s has exactly the permissions that it needs', (role, expected) => {
    expect([...new Set(actions(role))]).toEqual([...new Set(expected)].sort());
  });

  test('only dispatch and download can read the link secret, only the migration the secret of the schema owner', () => {
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

  test('each function can read the secret of its own database role, and the migration those of all', () => {
    const secretsOf = (role: string) =>
      ['Public', 'Ingest', 'Control'].filter((name) =>
        JSON.stringify(statements(role)).includes(`Database${name}Secret`),
      );
    expect(secretsOf('MigrationFunction')).toEqual(['Public', 'Ingest', 'Control']);
    for (const role of ['Download', 'ProvisioningHook']) expect(secretsOf(role)).toEqual(['Public']);
    for (const role of ['IngestStatus', 'IngestOta']) expect(secretsOf(role)).toEqual(['Ingest']);
    for (const role of ['OperatorApi', 'Orchestrate', 'Dispatch', 'RegisterRelease']) {
      expect(secretsOf(role)).toEqual(['Control']);
    }
  });

  test('registering a release can read uploads and the idle marker, and nothing else in the bucket', () => {
    const readable = statements('RegisterRelease').filter(({ Action }) =>
      JSON.stringify(Action).includes('s3:GetObject'),
    );
    const keys = readable.map(
      (statement) => /\/(firmware\/\*|releases\/idle-marker\.json)"/.exec(JSON.stringify(statement))?.[1],
    );
    expect(keys.sort()).toEqual(['firmware/*', 'releases/idle-marker.json']);
  });

  test('registering a release can read signatures beside uploads only if the settings trust a public key', () => {
    const { publicKey } = generateKeyPairSync('ed25519');
    const key = publicKey.export({ type: 'spki', format: 'pem' });
    const { serviceTemplate: signing } = synthesize({ models: { van: { trustedPublicKeys: [key] } } });
    const [[, policy] = []] = resources(signing, 'AWS::IAM::Policy').filter(([id]) => id.startsWith('RegisterRelease'));
    expect(JSON.stringify(policy)).toMatch(/"s3:GetObject".*"s3:ListBucket"/s);
  });

  test('dispatch can read images, to presign them, only if a model of the settings uses presigned delivery', () => {
    const models = { display: { delivery: 'presigned', packetLimitBytes: 4_096 } };
    const { serviceTemplate: presigning } = synthesize({ models });
    const [[, policy] = []] = resources(presigning, 'AWS::IAM::Policy').filter(([id]) => id.startsWith('DispatchRole'));
    expect(JSON.stringify(policy)).toContain('s3:GetObject');
  });

  test('publishing is granted instead of direct messages if the settings choose it', () => {
    const { serviceTemplate: publishing } = synthesize({ commandTransport: 'publish' });
    const text = JSON.stringify(publishing.findResources('AWS::IAM::Policy'));
    expect(text).toContain('iot:Publish');
    expect(text).not.toContain('SendDirectMessage');
  });
});
