import { describe, expect, test } from 'vitest';
import { propertiesOf, resources, synthesize } from '../../support/lib/templates.ts';

const { serviceTemplate } = synthesize();
const customDomain = { domainName: 'ota.example.com', certificateArn: 'arn:aws:acm:eu-west-1:1:certificate/x' };

describe('the front door', () => {
  const routes = propertiesOf(serviceTemplate, 'AWS::ApiGatewayV2::Route');
  const [stage = {}] = propertiesOf(serviceTemplate, 'AWS::ApiGatewayV2::Stage');
  const { Format = '{}' } = (stage.AccessLogSettings ?? {}) as { Format?: string };

  test('requires authorization by IAM on every route except downloads', () => {
    expect(Object.fromEntries(routes.map(({ RouteKey, AuthorizationType }) => [RouteKey, AuthorizationType]))).toEqual({
      'GET /d/{token}': 'NONE',
      'HEAD /d/{token}': 'NONE',
      'ANY /v1/{proxy+}': 'AWS_IAM',
    });
  });

  test('is the only HTTP entry: no function has a URL, and only the API and AWS IoT may invoke functions', () => {
    expect(resources(serviceTemplate, 'AWS::Lambda::Url')).toEqual([]);
    for (const { Principal, SourceArn } of propertiesOf(serviceTemplate, 'AWS::Lambda::Permission')) {
      expect(String(Principal)).toMatch(/^(apigateway|iot)\.amazonaws\.com$/);
      expect(SourceArn).toBeDefined();
    }
  });

  test('logs the route of a request, never its path, query, headers or identity', () => {
    expect(Object.values(JSON.parse(Format))).toEqual([
      '$context.requestId',
      '$context.requestTime',
      '$context.routeKey',
      '$context.status',
      '$context.responseLength',
      '$context.identity.sourceIp',
    ]);
  });

  test('throttles public routes apart from those of operators, who can act during a flood of anonymous requests', () => {
    expect(stage.DefaultRouteSettings).toEqual({ ThrottlingRateLimit: 50, ThrottlingBurstLimit: 100 });
    const open = routes.filter(({ AuthorizationType }) => AuthorizationType === 'NONE').map(({ RouteKey }) => RouteKey);
    expect(stage.RouteSettings).toEqual(
      Object.fromEntries(open.map((key) => [key, { ThrottlingRateLimit: 200, ThrottlingBurstLimit: 400 }])),
    );
  });

  describe('with a custom domain', () => {
    const { serviceTemplate: named } = synthesize({ customDomain });

    test('has no other endpoint', () => {
      named.hasResourceProperties('AWS::ApiGatewayV2::DomainName', { DomainName: 'ota.example.com' });
      named.hasResourceProperties('AWS::ApiGatewayV2::Api', { DisableExecuteApiEndpoint: true });
    });

    test('accepts no TLS older than 1.2', () => {
      const [domain] = propertiesOf(named, 'AWS::ApiGatewayV2::DomainName');
      expect(domain?.DomainNameConfigurations).toMatchObject([{ SecurityPolicy: 'TLS_1_2' }]);
    });
  });
});
