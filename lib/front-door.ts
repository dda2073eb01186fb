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
import { METRICS } from '../core/util/index.ts';
import type { Alarms } from './alarms.ts';
import type { Settings } from './settings.ts';

/** Requests a second, and in one burst: ten thousand devices that all follow their link at once are served in a minute. */
const THROTTLE = { rateLimit: 200, burstLimit: 400 };

export interface FrontDoorProps {
  readonly settings: Settings;
  readonly alarms: Alarms;
}

/** The HTTP API that devices fetch their images from. */
export class FrontDoor extends Construct {
  /** Of the API, without a last slash. */
  readonly url: string;
  /** URL before the token of a download link, with its last slash. */
  readonly linkBaseUrl: string;
  private readonly api: HttpApi;
  private readonly throttled: Metric;

  constructor(scope: Construct, id: string, { settings, alarms }: FrontDoorProps) {
    super(scope, id);
    const { customDomain } = settings;
    this.api = new HttpApi(this, 'Api', {
      createDefaultStage: false,
      disableExecuteApiEndpoint: customDomain !== undefined,
    });
    const domain =
      customDomain === undefined
        ? undefined
        : new DomainName(this, 'Domain', {
            domainName: customDomain.domainName,
            certificate: Certificate.fromCertificateArn(this, 'Certificate', customDomain.certificateArn),
            securityPolicy: SecurityPolicy.TLS_1_2,
          });
    const stage = new HttpStage(this, 'Stage', {
      httpApi: this.api,
      stageName: '$default',
      autoDeploy: true,
      throttle: THROTTLE,
      ...(domain === undefined ? {} : { domainMapping: { domainName: domain } }),
    });
    this.throttled = countThrottled(this.logAccess(stage, settings));
    this.watch(alarms);
    this.url = domain === undefined ? this.api.apiEndpoint : `https://${domain.name}`;
    this.linkBaseUrl = `${this.url}/d/`;
  }

  /** `GET /d/{token}`: public, since field devices carry no credentials for it; the token is the key. */
  addDownloads(fn: LambdaFunction): void {
    const [route] = this.api.addRoutes({
      path: '/d/{token}',
      methods: [HttpMethod.GET],
      integration: new HttpLambdaIntegration('Download', fn, { timeout: Duration.seconds(29) }),
    });
    if (route === undefined) throw new Error('The API made no route.');
    Validations.of(route).acknowledge({
      id: 'AwsSolutions-APIG4',
      reason: 'Field devices cannot sign requests; each link carries an HMAC and ends with its update.',
    });
  }

  /** `/v1/*`: requests signed by an identity that IAM lets invoke the API. */
  addOperatorApi(fn: LambdaFunction): void {
    this.api.addRoutes({
      path: '/v1/{proxy+}',
      methods: [HttpMethod.ANY],
      integration: new HttpLambdaIntegration('Operator', fn, { timeout: Duration.seconds(29) }),
      authorizer: new HttpIamAuthorizer(),
    });
  }

  /** Requests and their failures, for a dashboard. */
  graph(): IWidget {
    return new GraphWidget({
      title: 'Front door: requests',
      left: [this.api.metricCount(), this.api.metricClientError(), this.api.metricServerError(), this.throttled].map(
        (metric) => metric.with({ statistic: 'Sum' }),
      ),
      right: [this.api.metricLatency({ statistic: 'p95' })],
    });
  }

  private watch(alarms: Alarms): void {
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

  /** By route, never by path: a path holds a token. */
  private logAccess(stage: HttpStage, settings: Settings): LogGroup {
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
    (stage.node.defaultChild as CfnStage).accessLogSettings = {
      destinationArn: logs.logGroupArn,
      format: JSON.stringify(format),
    };
    return logs;
  }
}

/** An HTTP API counts its 429 among the other 4xx; the access log tells them apart. */
function countThrottled(logs: LogGroup): Metric {
  const filter = logs.addMetricFilter('Throttled', {
    filterPattern: FilterPattern.stringValue('$.status', '=', '429'),
    metricNamespace: METRICS.namespace,
    metricName: 'ThrottledRequests',
  });
  return filter.metric({ statistic: 'Sum' });
}
