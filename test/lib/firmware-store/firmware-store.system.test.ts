import { Match } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { PRESIGNED_SECONDS } from '../../../core/protocol/index.ts';
import { statementsOf, synthesize } from '../../support/lib/templates.ts';

const { dataTemplate } = synthesize();

describe('the bucket', () => {
  test('is private, versioned, TLS only, and sends its events to EventBridge', () => {
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

  test('refuses a presigned URL that is older than the lifetime of ours, whoever signed it', () => {
    const [statements = []] = statementsOf(dataTemplate, 'AWS::S3::BucketPolicy');
    const [denial, ...others] = statements.filter(({ Condition }) => Condition?.NumericGreaterThan !== undefined);
    expect(others).toEqual([]);
    expect(denial).toMatchObject({
      Effect: 'Deny',
      Principal: { AWS: '*' },
      Action: 's3:*',
      Condition: { NumericGreaterThan: { 's3:signatureAge': PRESIGNED_SECONDS * 1000 } },
    });
    expect(JSON.stringify(denial?.Resource)).toContain('"/*"');
  });
});
