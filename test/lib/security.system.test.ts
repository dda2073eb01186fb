import type { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { PRESIGNED_SECONDS } from '../../core/policy/index.ts';
import { resources, synthesize } from '../support/lib/templates.ts';

const { dataTemplate, serviceTemplate } = synthesize();

interface Statement {
  readonly Effect: string;
  readonly Principal: unknown;
  readonly Action: string | string[];
  readonly Resource: unknown;
  readonly Condition?: Record<string, Record<string, unknown>>;
}
const statementsOf = (template: Template, type: string) =>
  resources(template, type).map(
    ([, { Properties }]) => (Properties.PolicyDocument as { Statement: Statement[] }).Statement,
  );

describe('what is sent in clear text is refused by', () => {
  test.each([
    ['the bucket', dataTemplate, 'AWS::S3::Bucket', 'AWS::S3::BucketPolicy'],
    ['every queue', serviceTemplate, 'AWS::SQS::Queue', 'AWS::SQS::QueuePolicy'],
    ['the topic of the alarms', serviceTemplate, 'AWS::SNS::Topic', 'AWS::SNS::TopicPolicy'],
  ])('%s', (_, template, type, policyType) => {
    const policies = statementsOf(template, policyType);
    expect(policies).toHaveLength(resources(template, type).length);
    for (const statements of policies) {
      const [denial] = statements.filter(({ Condition }) => Condition?.Bool?.['aws:SecureTransport'] === 'false');
      expect(denial).toMatchObject({ Effect: 'Deny' });
    }
  });
});

describe('the bucket', () => {
  test('refuses a presigned URL that is older than ours become, whoever signed it', () => {
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

describe('the front door', () => {
  const routes = resources(serviceTemplate, 'AWS::ApiGatewayV2::Route').map(([, { Properties }]) => Properties);

  test('asks IAM about every route but the one that devices fetch from', () => {
    expect(Object.fromEntries(routes.map(({ RouteKey, AuthorizationType }) => [RouteKey, AuthorizationType]))).toEqual({
      'GET /d/{token}': 'NONE',
      'ANY /v1/{proxy+}': 'AWS_IAM',
    });
  });

  test('has no other way in: no function has a URL of its own, and only the API calls them', () => {
    expect(resources(serviceTemplate, 'AWS::Lambda::Url')).toEqual([]);
    const permissions = resources(serviceTemplate, 'AWS::Lambda::Permission').map(([, { Properties }]) => Properties);
    for (const { Principal, SourceArn } of permissions) {
      expect(String(Principal)).toMatch(/^(apigateway|iot)\.amazonaws\.com$/);
      expect(SourceArn).toBeDefined();
    }
  });

  test('logs what was asked for by its route alone: no path, no query, no header, no identity', () => {
    const [[, stage] = []] = resources(serviceTemplate, 'AWS::ApiGatewayV2::Stage');
    const { Format } = (stage?.Properties.AccessLogSettings ?? {}) as { Format?: string };
    expect(Object.values(JSON.parse(Format ?? '{}'))).toEqual([
      '$context.requestId',
      '$context.requestTime',
      '$context.routeKey',
      '$context.status',
      '$context.responseLength',
      '$context.identity.sourceIp',
    ]);
  });

  test('is throttled on every route', () => {
    const [[, stage] = []] = resources(serviceTemplate, 'AWS::ApiGatewayV2::Stage');
    expect(stage?.Properties.RouteSettings).toBeUndefined();
    const limits = stage?.Properties.DefaultRouteSettings;
    expect(limits).toEqual({ ThrottlingRateLimit: 200, ThrottlingBurstLimit: 400 });
  });

  test('speaks no TLS older than 1.2 under a name of its own', () => {
    const named = synthesize({
      customDomain: { domainName: 'ota.example.com', certificateArn: 'arn:aws:acm:eu-west-1:1:certificate/x' },
    }).serviceTemplate;
    const [[, domain] = []] = resources(named, 'AWS::ApiGatewayV2::DomainName');
    expect(domain?.Properties.DomainNameConfigurations).toMatchObject([{ SecurityPolicy: 'TLS_1_2' }]);
  });
});
