import { describe, expect, test } from 'vitest';
import { resources, statementsOf, synthesize } from '../../support/lib/templates.ts';

const { dataTemplate, serviceTemplate } = synthesize();

describe('a request without TLS is denied by the policy of', () => {
  test.each([
    ['the bucket', dataTemplate, 'AWS::S3::Bucket', 'AWS::S3::BucketPolicy'],
    ['every queue', serviceTemplate, 'AWS::SQS::Queue', 'AWS::SQS::QueuePolicy'],
    ['the alarm topic', serviceTemplate, 'AWS::SNS::Topic', 'AWS::SNS::TopicPolicy'],
  ])('%s', (_, template, type, policyType) => {
    const policies = statementsOf(template, policyType);
    expect(policies).toHaveLength(resources(template, type).length);
    for (const statements of policies) {
      const [denial] = statements.filter(({ Condition }) => Condition?.Bool?.['aws:SecureTransport'] === 'false');
      expect(denial).toMatchObject({ Effect: 'Deny' });
    }
  });
});
