import { Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import {
  type CfnStage,
  DomainName,
  HttpApi,
  HttpMethod,
  HttpStage,
  SecurityPolicy,
} from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { GraphWidget, type IWidget, type Metric } from 'aws-cdk-lib/aws-cloudwatch';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { FilterPattern, LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { type Alarms, metricNamespaceOf } from '../monitoring/index.ts';
import type { Settings } from '../settings/index.ts';

/**
 * Requests per second to each route of operators, and in one burst. Anonymous requests do not count here, so that a flood
 * of them leaves operators able to stop a rollout.
 */
const OPERATOR_THROTTLE = { rateLimit: 50, burstLimit: 100 };
/** The same for each public route. 10,000 devices that all follow their link at once are served in a minute. */
const DOWNLOAD_THROTTLE = { rateLimit: 200, burstLimit: 400 };

/** API Gateway waits no longer than this for a function. */
const INTEGRATION_TIMEOUT = Duration.seconds(29);

export interface FrontDoorProps {
  readonly settings: Settings;
  readonly alarms: Alarms;
}

export interface Route {
  /** Id of the integration. */
  readonly id: string;
  readonly path: string;
  readonly fn: LambdaFunction;
}

/** The HTTP API that devices download through and operators call. Each capability adds its own routes. */
export class FrontDoor extends Construct {
  /** URL of the API, without a trailing slash. */
  readonly url: string;
  private readonly api: HttpApi;
  private readonly stage: CfnStage;
  private readonly throttled: Metric;

  constructor(scope: Construct, id: string, { settings, alarms }: FrontDoorProps) {
    super(scope, id);
    const { customDomain } = settings;
    this.api = new HttpApi(this, 'Api', {
      apiName: settings.name,
      createDefaultStage: false,
      disableExecuteApiEndpoint: customDomain !== undefined,
    });
    const domain = this.domain(settings);
    const stage = new HttpStage(this, 'Stage', {
      httpApi: this.api,
      stageName: '$default',
      autoDeploy: true,
      throttle: OPERATOR_THROTTLE,
      ...(domain === undefined ? {} : { domainMapping: { domainName: domain } }),
    });
    this.stage = stage.node.defaultChild as CfnStage;
    this.throttled = throttledRequests(this.logAccess(settings));
    this.addAlarms(alarms);
    this.url = domain === undefined ? this.api.apiEndpoint : `https://${domain.name}`;
  }

  /** Routes for `GET` and `HEAD` without authorization by IAM; the reason says what protects them. */
  addPublicRoute({ id, path, fn, reason }: Route & { readonly reason: string }): void {
    const methods = [HttpMethod.GET, HttpMethod.HEAD];
    const routes = this.api.addRoutes({
      path,
      methods,
      integration: new HttpLambdaIntegration(id, fn, { timeout: INTEGRATION_TIMEOUT }),
    });
    for (const method of methods) {
      this.stage.addPropertyOverride(`RouteSettings.${method} ${path}`, {
        ThrottlingRateLimit: DOWNLOAD_THROTTLE.rateLimit,
        ThrottlingBurstLimit: DOWNLOAD_THROTTLE.burstLimit,
      });
    }
    for (const route of routes) {
      // API Gateway refuses settings of a route that does not exist yet.
      this.stage.node.addDependency(route);
      Validations.of(route).acknowledge({ id: 'AwsSolutions-APIG4', reason });
    }
  }

  /** A route for requests that are signed by an identity which IAM lets invoke the API. */
  addSignedRoute({ id, path, fn }: Route): void {
    this.api.addRoutes({
      path,
      methods: [HttpMethod.ANY],
      integration: new HttpLambdaIntegration(id, fn, { timeout: INTEGRATION_TIMEOUT }),
      authorizer: new HttpIamAuthorizer(),
    });
  }

  /** Requests, errors and latency. */
  graph(): IWidget {
    return new GraphWidget({
      title: 'Front door: requests',
      left: [this.api.metricCount(), this.api.metricClientError(), this.api.metricServerError(), this.throttled].map(
        (metric) => metric.with({ statistic: 'Sum' }),
      ),
      right: [this.api.metricLatency({ statistic: 'p95' })],
    });
  }

  private domain({ customDomain }: Settings): DomainName | undefined {
    if (customDomain === undefined) return undefined;
    return new DomainName(this, 'Domain', {
      domainName: customDomain.domainName,
      certificate: Certificate.fromCertificateArn(this, 'Certificate', customDomain.certificateArn),
      securityPolicy: SecurityPolicy.TLS_1_2,
    });
  }

  private addAlarms(alarms: Alarms): void {
    alarms.add(this, 'FailingAlarm', {
      metric: this.api.metricServerError({ statistic: 'Sum' }),
      description: 'The front door answered requests with 5xx: downloads of images and calls of operators fail.',
      section: 'front-door-failing',
      threshold: 5,
    });
    alarms.add(this, 'ThrottledAlarm', {
      metric: this.throttled,
      description: 'The front door refused requests with 429: more devices fetch at once than it lets through.',
      section: 'front-door-throttled',
    });
  }

  /** Logs the route of each request and never the path, because a path contains a download token. */
  private logAccess(settings: Settings): LogGroup {
    const logs = new LogGroup(this, 'AccessLogs', {
      retention: settings.logRetentionDays as RetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const format = {
      requestId: '$context.requestId',
      time: '$context.requestTime',
      route: '$context.routeKey',
      status: '$context.status',
      bytes: '$context.responseLength',
      ip: '$context.identity.sourceIp',
    };
    this.stage.accessLogSettings = {
      destinationArn: logs.logGroupArn,
      format: JSON.stringify(format),
    };
    return logs;
  }
}

/** The metrics of an HTTP API count 429 as one of the 4xx, so this one is taken from the access log. */
function throttledRequests(logs: LogGroup): Metric {
  const filter = logs.addMetricFilter('Throttled', {
    filterPattern: FilterPattern.stringValue('$.status', '=', '429'),
    metricNamespace: metricNamespaceOf(logs),
    metricName: 'ThrottledRequests',
  });
  return filter.metric({ statistic: 'Sum' });
}
